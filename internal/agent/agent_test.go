package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// modelFunc answers prompts by a function; it is asked for one text per candidate.
type modelFunc func(r Request, candidate int) Sample

func (f modelFunc) Sample(_ context.Context, r Request) (Samples, error) {
	out := Samples{Calls: 1, PromptTokens: 10, CompletionTokens: int64(r.N)}
	for i := range r.N {
		out.Samples = append(out.Samples, f(r, i))
	}
	return out, nil
}

type toolFunc func(query string, k int) []*pb.SearchResult

func (f toolFunc) Search(_ context.Context, query string, k int) ([]*pb.SearchResult, error) {
	return f(query, k), nil
}

// diligent searches as long as it may, selects the first link it is shown, and passes every check.
func diligent(r Request, _ int) Sample {
	text := ""
	switch r.Kind {
	case pb.StepKind_STEP_KIND_DECISION:
		text = `ActionWrapper(thoughts="more", action=Search(query='q'))`
		if strings.HasPrefix(r.Prompt[strings.LastIndex(r.Prompt, "REMAINING_SEARCHES"):], "REMAINING_SEARCHES: int = 0") {
			text = `ActionWrapper(thoughts="enough", action=Terminate())`
		}
	case pb.StepKind_STEP_KIND_SUMMARIZATION:
		shown := r.Prompt[strings.LastIndex(r.Prompt, "CURRENT_SEARCH_RESULTS"):]
		_, id, _ := strings.Cut(shown, "link_id=")
		id, _, _ = strings.Cut(id, ")")
		text = fmt.Sprintf(`LinkSelection(grounded_summarization='s [link_id=%s]', thoughts="t", selected_link_ids=[%s])`, id, id)
	case pb.StepKind_STEP_KIND_ANSWER:
		text = `Answer(thoughts="t", answer="draft")`
	case pb.StepKind_STEP_KIND_RELEVANCE:
		text = "# better\nRevise_Answer(revised_answer='revised once')"
	case pb.StepKind_STEP_KIND_GROUNDING:
		text = "# fine\nCheck_Answer(passed=True)"
	}
	return Sample{Text: text + "  " + Stop, Tokens: 5, MeanLogprob: -1, HasLogprob: true}
}

func results(n int) toolFunc {
	return func(query string, _ int) []*pb.SearchResult {
		var all []*pb.SearchResult
		for i := range n {
			all = append(all, &pb.SearchResult{Title: fmt.Sprintf("title %d", i), Snippet: "<b>bold</b> &amp; plain"})
		}
		return all
	}
}

func settings(searches, candidates int) Settings {
	return Settings{
		Rendering: pb.Rendering_RENDERING_BARE, Limits: &pb.Limits{Searches: int32(searches), Results: 3},
		Sampling: &pb.Sampling{Candidates: int32(candidates), Temperature: 0.5, MaxTokens: 100, Resamples: 2}, Seed: 1,
	}
}

var someone = &pb.Identity{Run: "r", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-1"}

// play plays a trajectory to its end, as a rollout worker does.
func play(t *testing.T, a *Agent) (*pb.Trajectory, *Failure) {
	t.Helper()
	s := NewState("Who?", a.Settings.Limits)
	out := &pb.Trajectory{
		Question: "Who?", Limits: a.Settings.Limits, Identity: someone,
		Policy: &pb.Policy{Rendering: a.Settings.Rendering, Shots: int32(a.Settings.Shots), Sampling: a.Settings.Sampling},
	}
	for {
		if _, going := s.Next(); !going {
			out.Draft, out.Answer = s.Draft(), s.Answer()
			return out, nil
		}
		step, err := a.Step(t.Context(), someone, s)
		var failed *Failure
		if err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		if step != nil {
			out.Steps = append(out.Steps, step)
		}
		if failed != nil {
			return out, failed
		}
		if err := s.Apply(step); err != nil {
			t.Fatal(err)
		}
	}
}

func kinds(t *pb.Trajectory) []pb.StepKind {
	var all []pb.StepKind
	for _, s := range t.GetSteps() {
		all = append(all, s.GetKind())
	}
	return all
}

// TestOrderOfSteps: METHOD 1.1; n searches make 2n+4 steps, and both checks happen once and in order.
func TestOrderOfSteps(t *testing.T) {
	t.Parallel()
	for _, searches := range []int{1, 2, 10} {
		got, failed := play(t, &Agent{Model: modelFunc(diligent), Tool: results(5), Settings: settings(searches, 1)})
		if failed != nil {
			t.Fatal(failed)
		}
		var want []pb.StepKind
		for range searches {
			want = append(want, pb.StepKind_STEP_KIND_DECISION, pb.StepKind_STEP_KIND_SUMMARIZATION)
		}
		want = append(want, pb.StepKind_STEP_KIND_DECISION, pb.StepKind_STEP_KIND_ANSWER, pb.StepKind_STEP_KIND_RELEVANCE, pb.StepKind_STEP_KIND_GROUNDING)
		if !slices.Equal(kinds(got), want) || len(want) != 2*searches+4 {
			t.Errorf("%d searches: %v", searches, kinds(got))
		}
		if got.GetDraft() != "draft" || got.GetAnswer() != "revised once" {
			t.Errorf("draft %q, answer %q", got.GetDraft(), got.GetAnswer())
		}
	}
}

// TestBudgetIsTheControllers: a model that only wants to search is stopped at exactly the budget.
func TestBudgetIsTheControllers(t *testing.T) {
	t.Parallel()
	asked := 0
	tool := toolFunc(func(string, int) []*pb.SearchResult { asked++; return nil })
	model := modelFunc(func(r Request, i int) Sample {
		switch r.Kind {
		case pb.StepKind_STEP_KIND_DECISION:
			return Sample{Text: `ActionWrapper(thoughts="t", action=Search(query='q'))`}
		case pb.StepKind_STEP_KIND_SUMMARIZATION: // no results is an ordinary outcome
			return Sample{Text: `LinkSelection(grounded_summarization='Nothing is selected.', thoughts="t", selected_link_ids=[])`}
		}
		return diligent(r, i)
	})
	got, failed := play(t, &Agent{Model: model, Tool: tool, Settings: settings(10, 2)})
	if failed == nil || failed.Class != pb.FailureClass_FAILURE_CLASS_SEARCH_BUDGET {
		t.Fatalf("%v, want search_budget", failed)
	}
	if asked != 10 {
		t.Errorf("%d searches, want 10", asked)
	}
	last := got.GetSteps()[len(got.GetSteps())-1]
	if last.GetChosen() != -1 || len(last.GetCandidates()) != 6 {
		t.Errorf("the failed step keeps %d candidates, want 6: two for each of three attempts", len(last.GetCandidates()))
	}
}

// TestLinks: ids grow and stay unique, at most k are shown, only selected ones stay, unknown ones are no candidates.
func TestLinks(t *testing.T) {
	t.Parallel()
	got, failed := play(t, &Agent{Model: modelFunc(diligent), Tool: results(9), Settings: settings(3, 1)})
	if failed != nil {
		t.Fatal(failed)
	}
	seen := map[int32]bool{}
	for _, s := range got.GetSteps() {
		if len(s.GetResults()) > 3 {
			t.Errorf("step %d shows %d results", s.GetIndex(), len(s.GetResults()))
		}
		for _, r := range s.GetResults() {
			if seen[r.GetLinkId()] {
				t.Errorf("link %d twice", r.GetLinkId())
			}
			seen[r.GetLinkId()] = true
		}
	}
	for s, step := range Replay(got) {
		if step.GetKind() == pb.StepKind_STEP_KIND_ANSWER {
			prompt := Render(s, step.GetKind(), pb.Rendering_RENDERING_BARE, 0)
			if n := strings.Count(prompt, "ResultItem("); n != 3 {
				t.Errorf("%d results in the answer's prompt, want the 3 selected:\n%s", n, prompt)
			}
			if !strings.Contains(prompt, "'bold & plain'") {
				t.Errorf("tags or entities in the prompt:\n%s", prompt)
			}
		}
	}
	stranger := modelFunc(func(r Request, i int) Sample {
		if r.Kind == pb.StepKind_STEP_KIND_SUMMARIZATION {
			return Sample{Text: `LinkSelection(grounded_summarization='s', thoughts="t", selected_link_ids=[77])`}
		}
		return diligent(r, i)
	})
	if _, failed := play(t, &Agent{Model: stranger, Tool: results(2), Settings: settings(2, 1)}); failed == nil || failed.Class != pb.FailureClass_FAILURE_CLASS_UNPARSABLE {
		t.Errorf("%v, want unparsable", failed)
	}
}

// TestLowestPerplexityContinues, among those that can be read; ties go to the first.
func TestLowestPerplexityContinues(t *testing.T) {
	t.Parallel()
	p := func(v float64) *float64 { return &v }
	for name, c := range map[string]struct {
		candidates []*pb.Candidate
		actions    []string
		chosen     int32
		rule       string
	}{
		"lowest":        {[]*pb.Candidate{{MeanLogprob: p(-2)}, {MeanLogprob: p(-1)}, {MeanLogprob: p(-3)}}, []string{"a", "b", "c"}, 1, "perplexity"},
		"tie":           {[]*pb.Candidate{{MeanLogprob: p(-1)}, {MeanLogprob: p(-1)}}, []string{"a", "b"}, 0, "perplexity"},
		"unreadable":    {[]*pb.Candidate{{MeanLogprob: p(0), ParseError: "x"}, {MeanLogprob: p(-9)}}, []string{"", "b"}, 1, "perplexity"},
		"none":          {[]*pb.Candidate{{ParseError: "x"}}, []string{""}, -1, "perplexity"},
		"one is absent": {[]*pb.Candidate{{MeanLogprob: p(0)}, {}, {}}, []string{"a", "b", "b"}, 1, "majority"},
		"all differ":    {[]*pb.Candidate{{}, {}}, []string{"a", "b"}, 0, "first"},
	} {
		if chosen, rule := choose(c.candidates, c.actions); chosen != c.chosen || rule != c.rule {
			t.Errorf("%s: %d by %s, want %d by %s", name, chosen, rule, c.chosen, c.rule)
		}
	}
}

// TestPromptsComeOutTheSame: prompts are not stored; rendering them again gives the recorded hash, in both renderings.
func TestPromptsComeOutTheSame(t *testing.T) {
	t.Parallel()
	for _, rendering := range []pb.Rendering{pb.Rendering_RENDERING_BARE, pb.Rendering_RENDERING_FEW_SHOT} {
		set := settings(3, 2)
		set.Rendering, set.Shots = rendering, 2
		got, failed := play(t, &Agent{Model: modelFunc(diligent), Tool: results(3), Settings: set})
		if failed != nil {
			t.Fatal(failed)
		}
		data, err := proto.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		read := &pb.Trajectory{}
		if err := proto.Unmarshal(data, read); err != nil {
			t.Fatal(err)
		}
		if err := Verify(read); err != nil {
			t.Errorf("%s: %v", rendering, err)
		}
		read.Steps[1].Results[0].Snippet = "another"
		if err := Verify(read); err == nil {
			t.Errorf("%s: a changed result was not noticed", rendering)
		}
	}
}

// TestSeedsComeFromTheIdentity: the same call asks for the same samples, another for others.
func TestSeedsComeFromTheIdentity(t *testing.T) {
	t.Parallel()
	seen := map[int64]string{}
	for sample := range int32(3) {
		for index := range int32(3) {
			for attempt := range 3 {
				id := proto.CloneOf(someone)
				id.Sample = sample
				name := fmt.Sprint(sample, index, attempt)
				s := seed(1, id, index, attempt)
				if other, ok := seen[s]; ok || s < 0 || s > 1<<31 {
					t.Errorf("%s has seed %d, as has %s", name, s, other)
				}
				seen[s] = name
			}
		}
	}
}

// TestContextOverflow is the policy's failure, a broken endpoint is not.
func TestContextOverflow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		ours bool
	}{{fmt.Errorf("8192 tokens: %w", ErrContextOverflow), true}, {errors.New("connection refused"), false}} {
		a := &Agent{Model: failing{c.err}, Tool: results(1), Settings: settings(1, 1)}
		_, err := a.Step(t.Context(), someone, NewState("Who?", a.Settings.Limits))
		var failed *Failure
		if errors.As(err, &failed) != c.ours {
			t.Errorf("%v", err)
		}
		if c.ours && failed.Class != pb.FailureClass_FAILURE_CLASS_CONTEXT_OVERFLOW {
			t.Errorf("%v", failed.Class)
		}
	}
}

type failing struct{ err error }

func (f failing) Sample(context.Context, Request) (Samples, error) { return Samples{}, f.err }
