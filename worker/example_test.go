package worker_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// The whole main function of a worker kind of one's own; `go run . --set bus.url=nats://host:4222` joins the bus.
func ExampleMain() {
	worker.Main("shout", func(ctx context.Context, t *worker.Task) error {
		text := t.Args().GetFields()["text"].GetStringValue()
		if text == "" {
			return worker.Permanent(errors.New("want a text to shout"))
		}
		return t.Result(ctx, map[string]any{"text": strings.ToUpper(text)})
	})
}

// brief ranks the shortest first.
func brief(_ context.Context, t *pb.Trajectory) (*pb.Feedback, error) {
	f := &pb.Feedback{}
	for _, step := range t.GetSteps() {
		candidates := step.GetCandidates()
		ranking := &pb.StepRanking{Step: step.GetIndex(), RankedBy: pb.RankedBy_RANKED_BY_RANKER}
		for i, c := range candidates {
			if c.GetParseError() == "" {
				ranking.Ranking = append(ranking.Ranking, int32(i))
			}
		}
		slices.SortStableFunc(ranking.Ranking, func(a, b int32) int {
			return cmp.Compare(len(candidates[a].GetText()), len(candidates[b].GetText()))
		})
		f.Steps = append(f.Steps, ranking)
	}
	return f, nil
}

// The whole main function of a ranker that prefers short candidates; a run asks for it with `rankers: [brief]`.
func ExampleMainRanker() {
	worker.MainRanker("brief", brief)
}
