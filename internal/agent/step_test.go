package agent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const pick = `LinkSelection(grounded_summarization='s', thoughts="t", selected_link_ids=[1])`

// searched is a state whose coming step is a summarization.
func searched(t *testing.T) *State {
	t.Helper()
	s := NewState("Who?", &pb.Limits{Searches: 2})
	step := &pb.Step{Kind: pb.StepKind_STEP_KIND_DECISION, Candidates: []*pb.Candidate{{Text: `Search(query='x', thoughts="t")`}}}
	if err := s.Apply(step); err != nil {
		t.Fatal(err)
	}
	return s
}

// says answers with the texts, one per candidate, without log-probabilities.
func says(texts ...string) modelFunc {
	return func(_ Request, i int) Sample { return Sample{Text: texts[i%len(texts)]} }
}

// TestStepChangesNothing: a step that the model did not answer is made anew, with a search of its own that is counted.
func TestStepChangesNothing(t *testing.T) {
	t.Parallel()
	s, searches := searched(t), 0
	tool := toolFunc(func(string, int) []*pb.SearchResult {
		searches++
		return []*pb.SearchResult{{Title: fmt.Sprint("title ", searches)}}
	})
	for _, c := range []struct {
		model Model
		fails bool
	}{{failing{errors.New("down")}, true}, {says(pick), false}} {
		step, err := (&Agent{Model: c.model, Tool: tool, Settings: settings(2, 1)}).Step(t.Context(), someone, s)
		if (err != nil) != c.fails {
			t.Fatal(err)
		}
		if len(s.Results()) != 0 {
			t.Errorf("%d results of an attempt in the caller's state", len(s.Results()))
		}
		if !c.fails && (step.GetUsage().GetSearches() != 1 || step.GetResults()[0].GetTitle() != "title 2") {
			t.Errorf("%v: want the second attempt's own search, counted", step)
		}
	}
}

// TestGiantCandidates: an output that no max_tokens would allow is never chosen, and only its beginning is kept.
func TestGiantCandidates(t *testing.T) {
	t.Parallel()
	giant := strings.Repeat("é", 5<<19) // 5 MiB
	for name, c := range map[string]struct {
		model  Model
		chosen int32
		kept   int
	}{
		"one of two":       {says(giant, pick), 1, 2},
		"readable, but":    {says("# "+giant+"\n"+pick, pick), 1, 2},
		"all":              {says(giant), -1, 6},
		"whole replies":    {failing{fmt.Errorf("8 MiB: %w", ErrTooLong)}, -1, 3},
		"none is a giant":  {says(pick), 0, 2},
		"as long as it is": {says("# " + strings.Repeat("x", maxText-len(pick)-3) + "\n" + pick), 0, 2},
	} {
		step, err := (&Agent{Model: c.model, Tool: results(1), Settings: settings(2, 2)}).Step(t.Context(), someone, searched(t))
		var failed *Failure
		if errors.As(err, &failed) != (c.chosen < 0) || failed != nil && failed.Class != pb.FailureClass_FAILURE_CLASS_UNPARSABLE {
			t.Errorf("%s: %v", name, err)
		}
		if step.GetChosen() != c.chosen || len(step.GetCandidates()) != c.kept {
			t.Errorf("%s: %d of %d candidates is chosen, want %d of %d", name, step.GetChosen(), len(step.GetCandidates()), c.chosen, c.kept)
		}
		for i, kept := range step.GetCandidates() {
			if n := len(kept.GetText()); n > maxText || n > textExcerpt && kept.GetParseError() != "" {
				t.Errorf("%s: %d bytes of candidate %d are kept; %s", name, n, i, kept.GetParseError())
			}
		}
	}
}

// TestToolsFailure is the infrastructure's, and says that it was not the model's.
func TestToolsFailure(t *testing.T) {
	t.Parallel()
	a := &Agent{Model: says(pick), Tool: broken{}, Settings: settings(2, 1)}
	_, err := a.Step(t.Context(), someone, searched(t))
	if !errors.Is(err, ErrTool) || errors.As(err, new(*Failure)) {
		t.Errorf("%v, want ErrTool and no Failure", err)
	}
}

type broken struct{}

func (broken) Search(context.Context, string, int) ([]*pb.SearchResult, error) {
	return nil, errors.New("connection refused")
}

// TestCandidate: whatever a model sends can be journalled, and only what is whole is an action.
func TestCandidate(t *testing.T) {
	t.Parallel()
	const revising = "# no\nACTION_SELECTED: Command = Check_Answer(passed=False)\n"
	for name, c := range map[string]struct {
		kind           pb.StepKind
		sample         Sample
		readable, mean bool
	}{
		"whole":                 {pb.StepKind_STEP_KIND_RELEVANCE, Sample{Text: revising, FinishReason: "stop"}, true, false},
		"cut before a revision": {pb.StepKind_STEP_KIND_RELEVANCE, Sample{Text: revising, FinishReason: "length"}, false, false},
		"cut after the end":     {pb.StepKind_STEP_KIND_RELEVANCE, Sample{Text: revising + Stop, FinishReason: "length"}, true, false},
		"broken bytes":          {pb.StepKind_STEP_KIND_DECISION, Sample{Text: "Search(query='\xff', thoughts=\"t\")"}, true, false},
		"not a number":          {pb.StepKind_STEP_KIND_DECISION, Sample{Text: "Terminate()", HasLogprob: true, MeanLogprob: math.NaN()}, true, false},
		"impossible":            {pb.StepKind_STEP_KIND_DECISION, Sample{Text: "Terminate()", HasLogprob: true, MeanLogprob: math.Inf(-1)}, true, false},
		"likely":                {pb.StepKind_STEP_KIND_DECISION, Sample{Text: "Terminate()", HasLogprob: true, MeanLogprob: -1}, true, true},
	} {
		have := candidate(NewState("Who?", nil), c.kind, c.sample)
		if readable := have.GetParseError() == ""; readable != c.readable || (have.MeanLogprob != nil) != c.mean {
			t.Errorf("%s: %v", name, have)
		}
		if _, err := proto.Marshal(have); err != nil {
			t.Errorf("%s cannot be journalled: %v", name, err)
		}
	}
}

// TestMajorityIsOfEffects: two queries are one vote each whatever was thought on the way.
func TestMajorityIsOfEffects(t *testing.T) {
	t.Parallel()
	model := says(`Search(query='a', thoughts="one")`, `Search(query='b', thoughts="two")`, `Search(query='b', thoughts="three")`)
	step, err := (&Agent{Model: model, Settings: settings(2, 3)}).Step(t.Context(), someone, NewState("Who?", nil))
	if err != nil || step.GetChosen() != 1 || step.GetSelectedBy() != "majority" {
		t.Errorf("%v, %v: want the first of the majority", step, err)
	}
}

// TestFailureOfAStep: the budget is spent only if every candidate wanted to search on.
func TestFailureOfAStep(t *testing.T) {
	t.Parallel()
	spent := NewState("Who?", &pb.Limits{Searches: 1})
	spent.remaining = 0
	const search = `Search(query='a', thoughts="t")`
	for want, texts := range map[pb.FailureClass][]string{
		pb.FailureClass_FAILURE_CLASS_SEARCH_BUDGET: {search, search},
		pb.FailureClass_FAILURE_CLASS_UNPARSABLE:    {search, "gibberish"},
	} {
		step, err := (&Agent{Model: says(texts...), Settings: settings(1, 2)}).Step(t.Context(), someone, spent)
		var failed *Failure
		if !errors.As(err, &failed) || failed.Class != want || step.GetUsage().GetCalls() != 3 {
			t.Errorf("%q: %v after %d calls, want %s after 3", texts, err, step.GetUsage().GetCalls(), want)
		}
	}
}
