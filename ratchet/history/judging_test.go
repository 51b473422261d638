package history_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// ranked publishes the feedback of one step.
func (w world) ranked(question int, ranker string, s *pb.StepRanking) {
	w.t.Helper()
	id := identity(grow, question)
	f := &pb.Feedback{Identity: id, Ranker: ranker, Model: "rater", Outcome: pb.Outcome_OUTCOME_COMPLETED, Steps: []*pb.StepRanking{s}}
	w.publish(bus.FeedbackSubject(ranker, id), w.event(id, &pb.Event{Body: &pb.Event_Feedback{Feedback: f}}))
}

func (w world) judging(results history.Results) history.Judging {
	w.t.Helper()
	j, err := history.ReadJudging(w.t.Context(), w.conn, results, "llm")
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

const byRanker = pb.RankedBy_RANKED_BY_RANKER

// TestPositionBias: a ranker that always takes what is shown first is told from one that takes the same output wherever
// it is shown, by feedback alone; fallbacks and steps with one output count for neither.
func TestPositionBias(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 40 {
		slots := []int32{int32(n % 3), int32((n + 1) % 3), int32((n + 2) % 3)}
		w.ranked(n, "lazy", &pb.StepRanking{Ranking: slots, Slots: slots, RankedBy: byRanker, Swapped: &pb.Ballot{Ranking: []int32{slots[2]}}})
		steady := &pb.StepRanking{Ranking: []int32{1, 0, 2}, Slots: slots, RankedBy: byRanker}
		if n < 10 {
			steady.Swapped = &pb.Ballot{Ranking: []int32{1, 2, 0}}
		}
		if n == 10 {
			steady.Swapped = &pb.Ballot{}
		}
		w.ranked(n, "steady", steady)
	}
	w.ranked(40, "lazy", &pb.StepRanking{Ranking: []int32{0, 1}, Slots: []int32{1, 0}, RankedBy: pb.RankedBy_RANKED_BY_FALLBACK})
	w.ranked(41, "lazy", &pb.StepRanking{Ranking: []int32{0}, RankedBy: pb.RankedBy_RANKED_BY_SINGLE})

	j := w.judging(history.Results{Run: run})
	lazy, steady := j.Rankers[0], j.Rankers[1]
	if lazy.Ranked != 40 || lazy.Fallback != 1 || lazy.Single != 1 || lazy.Model != "rater" {
		t.Errorf("counted %+v", lazy)
	}
	if len(lazy.Slots) != 3 || lazy.Slots[0].Picked != 40 || math.Abs(lazy.Slots[0].Fair-40.0/3) > 1e-9 || *lazy.Even > 1e-9 {
		t.Errorf("slots %+v, p %v; want 40 picks of the first and p near 0", lazy.Slots, *lazy.Even)
	}
	if *steady.Even < 0.5 {
		t.Errorf("steady: slots %+v, p %v; want it even", steady.Slots, *steady.Even)
	}
	if lazy.Swap.Asked != 40 || lazy.Swap.Same.Value != 0 {
		t.Errorf("lazy: %+v; want no choice kept in reversed order", lazy.Swap)
	}
	if s := steady.Swap; s.Asked != 11 || s.Unreadable != 1 || s.Same.Value != 1 || s.Same.Interval == nil {
		t.Errorf("steady: %+v; want every choice kept", s)
	}
}

// TestVotesShown: each ballot counts for the slots, and a step for its votes.
func TestVotesShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ranked(0, "llm", &pb.StepRanking{Ranking: []int32{0, 1}, RankedBy: byRanker, Votes: []*pb.Ballot{
		{Slots: []int32{0, 1}, Ranking: []int32{0, 1}}, {Slots: []int32{1, 0}}, {Slots: []int32{1, 0}, Ranking: []int32{0, 1}},
	}})
	w.ranked(1, "llm", &pb.StepRanking{Ranking: []int32{0, 1}, RankedBy: byRanker, Votes: []*pb.Ballot{
		{Slots: []int32{0, 1}, Ranking: []int32{0, 1}}, {Slots: []int32{1, 0}, Ranking: []int32{1, 0}},
	}})
	r := w.judging(history.Results{Run: run}).Rankers[0]
	if r.Slots[0].Picked != 3 || r.Slots[1].Picked != 1 || r.Unanimous.Value != 0.5 {
		t.Errorf("slots %+v, unanimous %+v; want 3 and 1, and half of the steps", r.Slots, r.Unanimous)
	}
}

// TestRankersAgree: only steps that both have ranked are compared.
func TestRankersAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 8 {
		w.ranked(n, "llm", &pb.StepRanking{Ranking: []int32{0, 1, 2}, RankedBy: byRanker})
		other := []int32{0, 2, 1} // tau 1/3
		if n%2 == 0 {
			other = []int32{2, 1, 0} // tau -1
		}
		w.ranked(n, "people", &pb.StepRanking{Ranking: other, RankedBy: byRanker})
	}
	w.ranked(8, "llm", &pb.StepRanking{Ranking: []int32{0, 1}, RankedBy: pb.RankedBy_RANKED_BY_FALLBACK})
	w.ranked(8, "people", &pb.StepRanking{Ranking: []int32{0, 1}, RankedBy: byRanker})
	w.ranked(9, "llm", &pb.StepRanking{Ranking: []int32{0, 1}, RankedBy: byRanker})
	pairs := w.judging(history.Results{Run: run}).Pairs
	if len(pairs) != 1 || pairs[0].A != "llm" || pairs[0].B != "people" || pairs[0].Steps != 8 {
		t.Fatalf("pairs %+v, want llm and people over 8 steps", pairs)
	}
	if p := pairs[0]; math.Abs(p.Tau.Value+1.0/3) > 1e-9 || p.Same.Value != 0.5 || p.Tau.Interval.Low < -1 || p.Tau.Interval.High > 1.0/3 {
		t.Errorf("tau %+v %+v, same %+v; want -1/3 and half", p.Tau, p.Tau.Interval, p.Same)
	}
}

// TestJudgeAgainstRule: kappa by policy over answers of the named judge, and correlations over policies.
func TestJudgeAgainstRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	verdict := func(question int, judge string, right, contains bool) {
		id := identity(eval, question)
		v := &pb.Verdict{Identity: id, Judge: judge, Outcome: pb.Outcome_OUTCOME_COMPLETED, AnswerRight: right, Contains: contains}
		if question < 20 {
			v.AnswerVotes = &pb.Votes{Right: 2, Wrong: int32(question % 2)}
		}
		w.publish(bus.VerdictSubject(judge, id), w.event(id, &pb.Event{Body: &pb.Event_Verdict{Verdict: v}}))
	}
	for n := range 50 { // the textbook's 20, 5, 10, 15
		verdict(n, "llm", n < 25, n < 20 || n >= 25 && n < 35)
		verdict(n, "other", true, false)
	}
	results := history.Results{Run: run}
	for g, mean := range []float64{0.2, 0.4, 0.5, 0.7} {
		results.Generations = append(results.Generations, history.Generation{Number: g, Reports: []*pb.Report{{
			Target: "own", Look: 1, Answer: &pb.Score{Mean: mean}, ExactMatch: &pb.Score{Mean: mean / 2}, F1: &pb.Score{Mean: 1 - mean}, Contains: &pb.Score{Mean: 0.3},
		}}})
	}
	j := w.judging(results)
	if k := j.Kappa(0, "own"); math.Abs(k.Value-0.4) > 1e-9 || k.Interval == nil || len(j.Kappas) != 1 {
		t.Errorf("kappa %+v, want 0.4", j.Kappas)
	}
	if j.Unanimous == nil || j.Unanimous.Value != 0.5 {
		t.Errorf("unanimous %+v, want half of the 20", j.Unanimous)
	}
	got := ""
	for _, c := range j.Policies {
		got += fmt.Sprint(c.With, c.Policies, c.Pearson != nil && math.Abs(c.Pearson.R) > 0.999, c.Spearman != nil, " ")
	}
	if got != "exact_match4 true true f14 true true contains4 false false " {
		t.Errorf("correlations %s", got)
	}
}
