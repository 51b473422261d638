package bridge

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/judge"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// strategy makes a mixture out of ranked trajectories. It is asked question by question, in order.
type strategy interface {
	// passes is how often all trajectories are gone through, one improve step each.
	passes() int
	// pick returns those of one question's trajectories that improve step number pass, from 0, trains on.
	// question is in order of sample, and so must the result be.
	pick(pass int, question []*ranked) []*ranked
	// target is the candidate that a step of a picked trajectory trains on.
	target(t *ranked, step int) int
}

// ranked is a completed trajectory and what the ranker said of it.
type ranked struct {
	*pb.Trajectory
	// best holds the first choice of each step, -1 where the ranker left none.
	best []int
	// rank holds the place, from 0, that the ranker gave to the default of each step, -1 where it gave none.
	rank []int
}

// newRanked pairs a trajectory with its feedback, which may be nil: not every trajectory gets one.
func newRanked(t *pb.Trajectory, f *pb.Feedback) *ranked {
	r := &ranked{Trajectory: t, best: make([]int, len(t.GetSteps())), rank: make([]int, len(t.GetSteps()))}
	rankings := map[int32][]int32{}
	for _, s := range f.GetSteps() {
		rankings[s.GetStep()] = s.GetRanking()
	}
	for i, step := range t.GetSteps() {
		r.best[i], r.rank[i] = readRanking(step, rankings[step.GetIndex()])
	}
	return r
}

// readRanking finds a ranking's first usable choice and the place of the default. A ranking names every distinct
// text once, so the default stands where its text does.
func readRanking(step *pb.Step, ranking []int32) (best, rank int) {
	best, rank = -1, -1
	if !usable(step, int(step.GetChosen())) {
		return best, rank
	}
	chosen := step.GetCandidates()[step.GetChosen()].GetText()
	for place, candidate := range ranking {
		if !usable(step, int(candidate)) {
			continue
		}
		if best < 0 {
			best = int(candidate)
		}
		if rank < 0 && step.GetCandidates()[candidate].GetText() == chosen {
			rank = place
		}
	}
	return best, rank
}

// usable tells whether a step has such a candidate and the codec could read it.
func usable(step *pb.Step, candidate int) bool {
	return candidate >= 0 && candidate < len(step.GetCandidates()) &&
		step.GetCandidates()[candidate].GetParseError() == ""
}

// chosen is the default of a step: the candidate that continued the trajectory.
func (r *ranked) chosen(step int) int { return int(r.GetSteps()[step].GetChosen()) }

// newStrategy makes the strategy of a run.
func newStrategy(ctx context.Context, blobs blob.Store, c config.Strategy) (strategy, error) {
	switch c.Name {
	case config.StrategyReSTReAct:
		return restReact{c.PerQuestion}, nil
	case config.StrategyRaft:
		return raft{best: max(c.PerQuestion, 1)}, nil
	case config.StrategyReST:
		return newRest(c)
	case config.StrategyStar:
		return newStar(ctx, blobs, c)
	}
	return nil, fmt.Errorf("strategy.name is %q; expected rest-react, raft, rest or star", c.Name)
}

// firstOf is the first n of a question's trajectories, all when n is 0.
func firstOf(n int, question []*ranked) []*ranked {
	if n == 0 {
		return question
	}
	return question[:min(n, len(question))]
}

// restReact is the paper's improve step (2.3): every completed trajectory, each step towards the ranker's first
// choice. What was chosen while growing stays in the later prompts.
type restReact struct{ perQuestion int }

func (restReact) passes() int { return 1 }

func (s restReact) pick(_ int, question []*ranked) []*ranked { return firstOf(s.perQuestion, question) }

func (restReact) target(t *ranked, step int) int {
	if t.best[step] >= 0 {
		return t.best[step]
	}
	return t.chosen(step)
}

// asGrown trains on what the policy did: the strategies that choose among whole trajectories share it.
type asGrown struct{}

func (asGrown) target(t *ranked, step int) int { return t.chosen(step) }

// raft takes the best whole trajectories of the K samples of a question (arXiv 2304.06767). A trajectory's score
// is the sum of the ranks of its defaults, lower being better, so of two equally well ranked ones the shorter
// wins; then the lower sample. A step without a rank counts as ranked last.
type raft struct {
	asGrown

	best int
}

func (raft) passes() int { return 1 }

func (s raft) pick(_ int, question []*ranked) []*ranked {
	order := slices.Clone(question)
	slices.SortStableFunc(order, func(a, b *ranked) int { return cmp.Compare(sumOfRanks(a), sumOfRanks(b)) })
	order = firstOf(s.best, order)
	slices.SortFunc(order, func(a, b *ranked) int {
		return cmp.Compare(a.GetIdentity().GetSample(), b.GetIdentity().GetSample())
	})
	return order
}

func sumOfRanks(t *ranked) int {
	sum := 0
	for i, rank := range t.rank {
		if rank < 0 {
			rank = max(len(t.GetSteps()[i].GetCandidates())-1, 0)
		}
		sum += rank
	}
	return sum
}

// rest filters by a score that rises over several improve steps of one grow step (arXiv 2308.08998). The score is
// the share of a trajectory's steps whose default the ranker put first. Each improve step goes through the
// trajectories again and keeps those at its threshold or above, in parts of its own, so that a trainer that
// reads the parts in order trains on ever fewer and better examples; to one that shuffles, the better weigh more.
type rest struct {
	asGrown

	perQuestion int
	thresholds  []float64
}

func newRest(c config.Strategy) (rest, error) {
	if len(c.Thresholds) == 0 {
		return rest{}, fmt.Errorf("strategy rest needs strategy.thresholds, one per improve step, such as [0.5, 0.7, 0.9]")
	}
	for i, threshold := range c.Thresholds {
		if threshold < 0 || threshold > 1 || i > 0 && threshold < c.Thresholds[i-1] {
			return rest{}, fmt.Errorf("strategy.thresholds is %v; expected shares in [0, 1] that rise", c.Thresholds)
		}
	}
	return rest{perQuestion: c.PerQuestion, thresholds: c.Thresholds}, nil
}

func (s rest) passes() int { return len(s.thresholds) }

func (s rest) pick(pass int, question []*ranked) []*ranked {
	good := slices.DeleteFunc(slices.Clone(question), func(t *ranked) bool {
		return shareRankedFirst(t) < s.thresholds[pass]
	})
	return firstOf(s.perQuestion, good)
}

func shareRankedFirst(t *ranked) float64 {
	first := 0
	for _, rank := range t.rank {
		if rank == 0 {
			first++
		}
	}
	return float64(first) / float64(max(len(t.rank), 1))
}

// star keeps the trajectories that end in a right answer (arXiv 2203.14465): the one strategy that reads labels.
type star struct {
	asGrown

	perQuestion int
	labels      map[string]label
}

func newStar(ctx context.Context, blobs blob.Store, c config.Strategy) (star, error) {
	if c.Labels == nil || c.Labels.GoldURI == "" {
		return star{}, fmt.Errorf("strategy star keeps what ends in a right answer and needs labels: " +
			"name them in strategy.labels, or use rest-react, which needs none")
	}
	labels, err := readLabels(ctx, blobs, c.Labels.GoldURI)
	if err != nil {
		return star{}, fmt.Errorf("read labels of strategy star: %w", err)
	}
	return star{perQuestion: c.PerQuestion, labels: labels}, nil
}

func (star) passes() int { return 1 }

func (s star) pick(_ int, question []*ranked) []*ranked {
	right := slices.DeleteFunc(slices.Clone(question), func(t *ranked) bool {
		known, ok := s.labels[t.GetIdentity().GetQuestion()]
		return !ok || !judge.Contains(t.GetAnswer(), known.Answers)
	})
	return firstOf(s.perQuestion, right)
}
