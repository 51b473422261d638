package rank

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/choice"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// says is a judge's answer that puts candidates in an order, given the slots that they are shown in.
func says(slots []int32, order ...int32) string {
	places := make([]string, len(order))
	for i, candidate := range order {
		places[i] = fmt.Sprintf("#%d", 1+slices.Index(slots, candidate))
	}
	return fmt.Sprintf("Explanation: candidate %d is best\nAnswer: %s\nRanking: %s", order[0], places[0], strings.Join(places, " > "))
}

const mumble = "I like all of them."

func TestVotes(t *testing.T) {
	t.Parallel()
	s := firstStep(t)
	slots := [][]int32{s.Shuffled(0), s.Shuffled(1), s.Shuffled(2)}
	vote := func(n int, order ...int32) string { return says(slots[n], order...) }
	for name, c := range map[string]struct {
		script  []any
		calls   int64
		ranking []int32
		why     string
	}{
		"two agree, the third is not asked": {
			[]any{vote(0, other, chosen, preferred), vote(1, other, preferred, chosen)}, 2, []int32{other, chosen, preferred}, "candidate 3 is best",
		},
		"two of three": {
			[]any{vote(0, chosen, other, preferred), vote(1, other, preferred, chosen), vote(2, other, preferred, chosen)},
			3,
			[]int32{other, chosen, preferred},
			"candidate 3 is best",
		},
		"three opinions: the mean of the ranks": {
			[]any{vote(0, chosen, preferred, other), vote(1, other, preferred, chosen), vote(2, preferred, chosen, other)},
			3,
			[]int32{preferred, chosen, other},
			"candidate 2 is best",
		},
		"one cannot be read": {
			[]any{mumble, vote(1, other, preferred, chosen), vote(2, other, chosen, preferred)}, 3, []int32{other, preferred, chosen}, "candidate 3 is best",
		},
		"none can be read": {[]any{mumble}, 3, []int32{chosen, other, preferred}, "the judge could not be read, 3 times: "},
		"too long":         {[]any{fmt.Errorf("400: %w", llm.ErrContextOverflow)}, 0, []int32{chosen, other, preferred}, "the judge cannot take the prompt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, spec := &replies{script: c.script}, spec
			spec.Judging.Votes = 3
			ranking, usage, err := (&judged{model: client}).order(t.Context(), spec, s)
			if err != nil {
				t.Fatal(err)
			}
			if usage.GetCalls() != c.calls || !slices.Equal(ranking.GetRanking(), c.ranking) || !strings.HasPrefix(ranking.GetExplanation(), c.why) {
				t.Errorf("%d calls, %v; want %d, %v: %s", usage.GetCalls(), ranking, c.calls, c.ranking, c.why)
			}
			for i, r := range client.requests {
				if hot := i > 0; hot != (r.Temperature > 0) || hot && r.Seed == client.requests[i-1].Seed {
					t.Errorf("request %d at %v with seed %d", i, r.Temperature, r.Seed)
				}
			}
			if ranking.GetRankedBy() == pb.RankedBy_RANKED_BY_RANKER {
				checkBallots(t, ranking, slots, client.requests)
			}
		})
	}
	if slices.Equal(slots[0], slots[1]) && slices.Equal(slots[1], slots[2]) {
		t.Error("all votes are shown the same order")
	}
}

// checkBallots: every vote that was asked is on record, with the order that it was shown.
func checkBallots(t *testing.T, r *pb.StepRanking, slots [][]int32, requests []llm.Request) {
	t.Helper()
	if len(r.GetVotes()) != len(requests) || !slices.Equal(r.GetSlots(), slots[0]) {
		t.Errorf("%d votes for %d requests, slots %v", len(r.GetVotes()), len(requests), r.GetSlots())
	}
	for i, v := range r.GetVotes() {
		if !slices.Equal(v.GetSlots(), slots[i]) {
			t.Errorf("vote %d was shown %v, want %v", i, v.GetSlots(), slots[i])
		}
	}
}

// TestVoteCannotBeHad: an endpoint's failure is no vote.
func TestVoteCannotBeHad(t *testing.T) {
	t.Parallel()
	s, spec := firstStep(t), spec
	spec.Judging.Votes = 3
	client := &replies{script: []any{says(s.Shuffled(0), chosen, other, preferred), &llm.Error{Kind: llm.KindGarbage}}}
	if r, _, err := (&judged{model: client}).order(t.Context(), spec, s); err == nil {
		t.Errorf("%v, want the failure, to be tried again", r)
	}
}

// TestSwap: the step is asked about once more, in reversed order; the ranking stays, both answers are on record.
func TestSwap(t *testing.T) {
	t.Parallel()
	s := firstStep(t)
	slots := s.Shuffled(0)
	reversed := slices.Clone(slots)
	slices.Reverse(reversed)
	first := says(slots, other, chosen, preferred)
	for name, c := range map[string]struct {
		script  []any
		judging config.Judging
		calls   int64
		swapped []int32 // nil where it is not asked
	}{
		"the same":       {[]any{first, says(reversed, other, preferred, chosen)}, config.Judging{Swap: 1}, 2, []int32{other, preferred, chosen}},
		"lured":          {[]any{first, says(reversed, chosen, other, preferred)}, config.Judging{Swap: 1}, 2, []int32{chosen, other, preferred}},
		"unreadable":     {[]any{first, mumble}, config.Judging{Swap: 1}, 2, []int32{}},
		"nothing to ask": {[]any{mumble}, config.Judging{Swap: 1}, 2, nil},
		"off":            {[]any{first}, config.Judging{}, 1, nil},
		"after votes": {
			[]any{first, says(s.Shuffled(1), other, chosen, preferred), says(reversed, chosen, other, preferred)},
			config.Judging{Swap: 1, Votes: 3},
			3,
			[]int32{chosen, other, preferred},
		},
		"the first vote is unreadable": {
			[]any{mumble, says(s.Shuffled(1), other, chosen, preferred), says(s.Shuffled(2), other, chosen, preferred)},
			config.Judging{Swap: 1, Votes: 3},
			3, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, spec := &replies{script: c.script}, spec
			spec.Judging = c.judging
			ranking, usage, err := (&judged{model: client}).order(t.Context(), spec, s)
			if err != nil {
				t.Fatal(err)
			}
			if swapped := ranking.GetSwapped(); usage.GetCalls() != c.calls || (swapped != nil) != (c.swapped != nil) || !slices.Equal(swapped.GetRanking(), c.swapped) {
				t.Errorf("%d calls, swapped %v; want %d, %v", usage.GetCalls(), swapped, c.calls, c.swapped)
			}
			last := client.requests[len(client.requests)-1]
			if c.swapped != nil && (!slices.Equal(ranking.GetSwapped().GetSlots(), reversed) || last.Temperature != 0 || !shows(s, last.Prompt, reversed)) {
				t.Errorf("shown %v at %v", ranking.GetSwapped().GetSlots(), last.Temperature)
			}
			if ranking.GetRankedBy() == pb.RankedBy_RANKED_BY_RANKER && ranking.GetRanking()[0] != other {
				t.Errorf("the swap has changed the ranking: %v", ranking.GetRanking())
			}
		})
	}
}

func shows(s *choice.Step, prompt string, slots []int32) bool {
	return strings.Contains(prompt, fmt.Sprintf("Model Output #1:\n%s\n", s.GetCandidates()[slots[0]].GetText()))
}

// TestDrawn: the share is what was asked for, and the sample is the same for everybody.
func TestDrawn(t *testing.T) {
	t.Parallel()
	n := 0
	for i := range 5000 {
		s := &choice.Step{Name: fmt.Sprintf("r.1.own.grow.q.%d#0 llm", i)}
		if drawn(s, 0) || !drawn(s, 1) || drawn(s, 0.1) != drawn(s, 0.1) {
			t.Fatalf("%s is drawn of none, or not of all", s.Name)
		}
		if drawn(s, 0.1) {
			n++
		}
	}
	if share := float64(n) / 5000; math.Abs(share-0.1) > 0.015 {
		t.Errorf("%v are drawn, want 0.1", share)
	}
}
