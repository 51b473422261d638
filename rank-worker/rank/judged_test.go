package rank

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/choice"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// replies is a client that replies in turn; the last reply stays. A reply is a text or an error.
type replies struct {
	mu       sync.Mutex // guards what follows
	script   []any
	requests []llm.Request
	waits    int
	wait     func(context.Context) error
}

func (r *replies) Complete(_ context.Context, request llm.Request) (llm.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request)
	switch next := r.script[min(len(r.requests), len(r.script))-1].(type) {
	case error:
		return llm.Response{}, next
	default:
		return llm.Response{Choices: []llm.Choice{{Text: fmt.Sprint(next)}}, Calls: 1, PromptTokens: 100, CompletionTokens: 10}, nil
	}
}

func (r *replies) Ready(ctx context.Context, _ string) error {
	r.mu.Lock()
	r.waits++
	r.mu.Unlock()
	if r.wait != nil {
		return r.wait(ctx)
	}
	return nil
}

var spec = config.Run{Judge: config.Model{Endpoint: "http://judge/v1", Model: "rater", API: "chat", MaxTokens: 77}}

// firstStep is a step with three distinct candidates.
func firstStep(t *testing.T) *choice.Step {
	t.Helper()
	steps, err := choice.Steps(grow(t, "r", 0), "llm")
	if err != nil {
		t.Fatal(err)
	}
	return steps[0]
}

func TestJudged(t *testing.T) {
	t.Parallel()
	good := "Explanation: clear\nAnswer: #3\nRanking: #3 > #1 > #2"
	down, busy := &llm.Error{Kind: llm.KindDown}, &llm.Error{Kind: llm.KindBusy}
	for name, c := range map[string]struct {
		script []any
		by     pb.RankedBy
		calls  int64
		waits  int
	}{
		"at once":               {[]any{good}, pb.RankedBy_RANKED_BY_RANKER, 1, 0},
		"at the second try":     {[]any{"Hm.", good}, pb.RankedBy_RANKED_BY_RANKER, 2, 0},
		"never":                 {[]any{"Hm.", "Ranking: #9"}, pb.RankedBy_RANKED_BY_FALLBACK, 2, 0},
		"too long":              {[]any{fmt.Errorf("400: %w", llm.ErrContextOverflow)}, pb.RankedBy_RANKED_BY_FALLBACK, 0, 0},
		"a book, then a word":   {[]any{fmt.Errorf("8 MiB: %w", llm.ErrTooLong), good}, pb.RankedBy_RANKED_BY_RANKER, 1, 0},
		"a book, and another":   {[]any{fmt.Errorf("8 MiB: %w", llm.ErrTooLong), fmt.Errorf("8 MiB: %w", llm.ErrTooLong)}, pb.RankedBy_RANKED_BY_FALLBACK, 0, 0},
		"the endpoint was down": {[]any{down, busy, good}, pb.RankedBy_RANKED_BY_RANKER, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client := firstStep(t), &replies{script: c.script}
			ranking, usage, err := (&judged{model: client}).order(t.Context(), spec, s)
			if err != nil {
				t.Fatal(err)
			}
			if ranking.GetRankedBy() != c.by || usage.GetCalls() != c.calls || usage.GetPromptTokens() != 100*c.calls || client.waits != c.waits {
				t.Errorf("%v, %v, %d waits", ranking, usage, client.waits)
			}
			slots := ranking.GetSlots()
			want := []int32{slots[2], slots[0], slots[1]}
			if c.by == pb.RankedBy_RANKED_BY_FALLBACK {
				want = []int32{chosen, other, preferred} // by perplexity
			}
			if !slices.Equal(ranking.GetRanking(), want) || ranking.GetExplanation() == "" {
				t.Errorf("ranking %v of slots %v, want %v", ranking.GetRanking(), slots, want)
			}
			checkRequests(t, s, slots, client.requests)
		})
	}
}

// checkRequests: greedy first, hotter with another seed after an unreadable reply; the slots show what they say.
func checkRequests(t *testing.T, s *choice.Step, slots []int32, requests []llm.Request) {
	t.Helper()
	first, last := requests[0], requests[len(requests)-1]
	if first.Temperature != 0 || first.N != 1 || first.MaxTokens != 77 || first.API != pb.Api_API_CHAT || first.Model != "rater" {
		t.Errorf("request %+v", first)
	}
	if last.Temperature > 0 && last.Seed == first.Seed {
		t.Errorf("the second try has the seed of the first, %d", last.Seed)
	}
	for i, candidate := range slots {
		shown := fmt.Sprintf("Model Output #%d:\n%s\n", i+1, s.GetCandidates()[candidate].GetText())
		if !strings.Contains(first.Prompt, shown) {
			t.Errorf("the prompt does not show candidate %d as #%d", candidate, i+1)
		}
	}
	if !strings.Contains(first.Prompt, "# Step: decision") {
		t.Error("the prompt does not show the bare rendering")
	}
}

// TestEndpointFailures never become a ranking: what the bus is told differs.
func TestEndpointFailures(t *testing.T) {
	t.Parallel()
	s := firstStep(t)
	broken := &replies{script: []any{&llm.Error{Kind: llm.KindGarbage}}}
	if _, _, err := (&judged{model: broken}).order(t.Context(), spec, s); !errors.As(err, new(*llm.Error)) || broken.waits != 0 {
		t.Errorf("%v, %d waits; want the endpoint's failure, to be tried again", err, broken.waits)
	}
	gone := &replies{script: []any{&llm.Error{Kind: llm.KindDown}}, wait: func(context.Context) error { return context.DeadlineExceeded }}
	_, _, err := (&judged{model: gone}).order(t.Context(), spec, s)
	var failed *llm.Error
	if !errors.As(err, &failed) || failed.Kind != llm.KindDown || gone.waits != 1 {
		t.Errorf("%v, want the endpoint's failure, put off", err)
	}
}

// TestSeed: the same for everybody, another for each try and step, and none that a server cannot take.
func TestSeed(t *testing.T) {
	t.Parallel()
	one, two := "r.1.own.grow.q.0#0 llm", "r.1.own.grow.q.0#1 llm"
	all := []int64{seed(one, 0), seed(one, 1), seed(two, 0), seed(two, 1)}
	if seed(one, 0) != all[0] || slices.Min(all) < 0 || slices.Max(all) >= 1<<30 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(all) {
		t.Errorf("%v, want seeds of 30 bits that differ", all)
	}
}

// TestShuffle: the same for everybody, another for each step and ranker, and no candidate has a favourite slot.
func TestShuffle(t *testing.T) {
	t.Parallel()
	s := firstStep(t)
	if !slices.Equal(s.Shuffled(0), s.Shuffled(0)) {
		t.Error("two shuffles of one step differ")
	}
	first := map[int32]int{}
	for i := range 3000 {
		s.Name = fmt.Sprintf("r.1.own.grow.q.%d#0 llm", i)
		slots := s.Shuffled(0)
		if !slices.Equal(slices.Sorted(slices.Values(slots)), []int32{chosen, preferred, other}) {
			t.Fatalf("%v is no permutation", slots)
		}
		first[slots[0]]++
	}
	for candidate, n := range maps.All(first) {
		if n < 900 || n > 1100 {
			t.Errorf("candidate %d is shown first %d times of 3000", candidate, n)
		}
	}
}
