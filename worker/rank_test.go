package worker

import (
	"context"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func TestRankerGivesFeedbackOnce(t *testing.T) {
	t.Parallel()
	conn, calls := devstack.TestBus(t), 0
	r := ranker{
		name: "mine", conn: conn,
		spec: func(_ context.Context, run string) (config.Run, error) {
			return config.Run{Rankers: map[string][]string{"r": {"llm", "mine"}}[run]}, nil
		},
		rank: func(_ context.Context, t *pb.Trajectory) (*pb.Feedback, error) {
			calls++
			f := &pb.Feedback{}
			for _, step := range t.GetSteps() {
				f.Steps = append(f.Steps, &pb.StepRanking{Step: step.GetIndex(), Ranking: []int32{1, 0}, RankedBy: pb.RankedBy_RANKED_BY_RANKER})
			}
			return f, nil
		},
	}
	for _, c := range []struct {
		run     string
		outcome pb.Outcome
		want    int
	}{
		{"r", pb.Outcome_OUTCOME_COMPLETED, 1},
		{"r", pb.Outcome_OUTCOME_COMPLETED, 1}, // delivered again
		{"r", pb.Outcome_OUTCOME_FAILED, 1},
		{"other", pb.Outcome_OUTCOME_COMPLETED, 1},
	} {
		id := &pb.Identity{Run: c.run, Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "q-1"}
		trajectory := &pb.Trajectory{Identity: id, Outcome: c.outcome, Steps: []*pb.Step{{Index: 0}, {Index: 1}}}
		if err := r.handle(t.Context(), trajectory, &pb.Event{Run: c.run, Generation: 1}); err != nil {
			t.Fatal(err)
		}
		if calls != c.want {
			t.Errorf("%v: ranked %d times, want %d", c, calls, c.want)
		}
	}
	count := 0
	for m, err := range conn.Read(t.Context(), bus.Feedback) {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := m.Event(t.Context())
		if f := ev.GetFeedback(); err != nil || f.GetRanker() != "mine" || len(f.GetSteps()) != 2 || f.GetOutcome() != pb.Outcome_OUTCOME_COMPLETED {
			t.Errorf("%v, %v", ev, err)
		}
		count++
	}
	if count != 1 {
		t.Errorf("%d feedbacks, want 1", count)
	}
}

func TestRankerRefusesNoIdentity(t *testing.T) {
	t.Parallel()
	if err := (ranker{}).handle(t.Context(), &pb.Trajectory{}, &pb.Event{}); !bus.IsPermanent(err) {
		t.Errorf("%v, want a permanent error", err)
	}
}

func TestFeedIsOneOfTheTwo(t *testing.T) {
	t.Parallel()
	for _, f := range []Feed{{}, {Ranker: "a", Judge: "b"}, {Ranker: "A"}, {Judge: "a.b"}} {
		if err := Follow(t.Context(), nil, f, nil); err == nil {
			t.Errorf("%+v: no error", f)
		}
	}
}
