package rank

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/choice"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// byPerplexity is the control: the order that the policy itself gave, no judge.
type byPerplexity struct{}

func (byPerplexity) describe(config.Model) (prompt, model string) { return "", "" }

func (byPerplexity) order(_ context.Context, _ config.Run, s *choice.Step) (*pb.StepRanking, *pb.Usage, error) {
	return &pb.StepRanking{Ranking: defaultOrder(s), RankedBy: pb.RankedBy_RANKED_BY_RANKER}, nil, nil
}

// defaultOrder has the default first, then the others by perplexity; without a log-probability, last.
func defaultOrder(s *choice.Step) []int32 {
	order := slices.Clone(s.Options)
	slices.SortStableFunc(order[1:], func(a, b int32) int { return cmp.Compare(perplexity(s, a), perplexity(s, b)) })
	return order
}

func perplexity(s *choice.Step, candidate int32) float64 {
	if c := s.GetCandidates()[candidate]; c.MeanLogprob != nil {
		return math.Exp(-c.GetMeanLogprob())
	}
	return math.Inf(1)
}
