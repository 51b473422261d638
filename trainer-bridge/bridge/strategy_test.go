package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// graded is a trajectory whose defaults, always candidate 0 of three, were ranked at these places.
func graded(sample int, places ...int) *ranked {
	t := &pb.Trajectory{Identity: &pb.Identity{Question: "pool-1", Sample: int32(sample)}}
	f := &pb.Feedback{}
	for i, place := range places {
		t.Steps = append(t.Steps, &pb.Step{Index: int32(i), Candidates: []*pb.Candidate{{Text: "a"}, {Text: "b"}, {Text: "c"}}})
		ranking := slices.Insert([]int32{1, 2}, place, 0)
		f.Steps = append(f.Steps, &pb.StepRanking{Step: int32(i), Ranking: ranking})
	}
	return newRanked(t, f)
}

func samples(picked []*ranked) string {
	var all []string
	for _, t := range picked {
		all = append(all, fmt.Sprint(t.GetIdentity().GetSample()))
	}
	return strings.Join(all, " ")
}

func TestPick(t *testing.T) {
	t.Parallel()
	question := []*ranked{graded(0, 2, 2), graded(1, 0, 0), graded(2, 0, 1), graded(3, 0, 0)}
	tests := []struct {
		name     string
		strategy config.Strategy
		want     []string // the samples of each improve step
	}{
		{"rest-react takes all", config.Strategy{Name: "rest-react"}, []string{"0 1 2 3"}},
		{"rest-react, two per question", config.Strategy{Name: "rest-react", PerQuestion: 2}, []string{"0 1"}},
		{"raft takes the best, the lower sample of a tie", config.Strategy{Name: "raft"}, []string{"1"}},
		{"raft, best three in order of sample", config.Strategy{Name: "raft", PerQuestion: 3}, []string{"1 2 3"}},
		{"rest, rising", config.Strategy{Name: "rest", Thresholds: []float64{0, 0.5, 0.9}}, []string{"0 1 2 3", "1 2 3", "1 3"}},
		{"rest, two per question", config.Strategy{Name: "rest", Thresholds: []float64{0.5}, PerQuestion: 2}, []string{"1 2"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := newStrategy(t.Context(), nil, test.strategy)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for pass := range s.passes() {
				got = append(got, samples(s.pick(pass, question)))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("picked samples %q, want %q", got, test.want)
			}
		})
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	disagrees := graded(0, 1) // the ranker prefers candidate 1
	for name, want := range map[string]int{"rest-react": 1, "raft": 0} {
		s, err := newStrategy(t.Context(), nil, config.Strategy{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.target(disagrees, 0); got != want {
			t.Errorf("%s trains on candidate %d, want %d", name, got, want)
		}
	}
	if got := (restReact{}).target(newRanked(disagrees.Trajectory, nil), 0); got != 0 {
		t.Errorf("without feedback candidate %d is the target, want the default, 0", got)
	}
}

func TestReadRanking(t *testing.T) {
	t.Parallel()
	step := &pb.Step{Chosen: 2, Candidates: []*pb.Candidate{
		{Text: "same"}, {Text: "broken", ParseError: "line 1"}, {Text: "same"}, {Text: "other"},
	}}
	tests := []struct {
		name       string
		ranking    []int32
		best, rank int
	}{
		{"a duplicate of the default", []int32{3, 0}, 3, 1},
		{"first choice unparsable", []int32{1, 3, 0}, 3, 2},
		{"out of range", []int32{9, -1, 0}, 0, 2},
		{"none", nil, -1, -1},
		{"nothing usable", []int32{1}, -1, -1},
	}
	for _, test := range tests {
		if best, rank := readRanking(step, test.ranking); best != test.best || rank != test.rank {
			t.Errorf("%s: best %d at rank %d, want %d at %d", test.name, best, rank, test.best, test.rank)
		}
	}
}

func TestStrategyRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		strategy config.Strategy
		want     string
	}{
		{config.Strategy{Name: "ppo"}, "rest-react, raft, rest or star"},
		{config.Strategy{Name: "rest"}, "needs strategy.thresholds"},
		{config.Strategy{Name: "rest", Thresholds: []float64{0.9, 0.5}}, "that rise"},
		{config.Strategy{Name: "rest", Thresholds: []float64{1.5}}, "in [0, 1]"},
		{config.Strategy{Name: "star"}, "needs labels"},
	}
	for _, test := range tests {
		_, err := newStrategy(t.Context(), nil, test.strategy)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("strategy %+v: error %v, want one with %q", test.strategy, err, test.want)
		}
	}
}

func TestStar(t *testing.T) {
	t.Parallel()
	store := openBlobs(t)
	ref, err := blob.PutContent(t.Context(), store, "gold", "jsonl", []byte(`{"token":"pool-1","answers":["Paris"]}`+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStrategy(t.Context(), store, config.Strategy{Name: "star", Labels: &config.Source{GoldURI: ref.URI}})
	if err != nil {
		t.Fatal(err)
	}
	right, wrong, unlabelled := graded(0, 0), graded(1, 0), graded(2, 0)
	right.Answer, wrong.Answer, unlabelled.Answer = "It is Paris [link_id=1].", "It is Rome.", "It is Paris."
	unlabelled.Identity.Question = "pool-2"
	if got := samples(s.pick(0, []*ranked{right, wrong, unlabelled})); got != "0" {
		t.Errorf("picked samples %q, want only the right one, 0", got)
	}
}
