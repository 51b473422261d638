package bridge

import (
	"context"
	"fmt"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// chosenByPolicy and chosenByRanker are the candidates, of three, that continue every step of a grown trajectory
// and that the ranker of feedbackOn puts first.
const (
	chosenByPolicy = 1
	chosenByRanker = 2
)

// script is a model that searches some times, keeps the first result of each search, and answers. Its three
// candidates differ in their thoughts only, which end in padding.
type script struct {
	searches int
	padding  string
	found    int // results so far: the agent numbers them from 1
}

func (s *script) Sample(_ context.Context, r agent.Request) (agent.Samples, error) {
	searching := s.searches > 0
	first := s.found + 1
	switch r.Kind {
	case pb.StepKind_STEP_KIND_DECISION:
		s.searches--
	case pb.StepKind_STEP_KIND_SUMMARIZATION:
		s.found += resultsFound
	}
	var samples agent.Samples
	for i := range 3 {
		logprob := -2.0
		if i == chosenByPolicy {
			logprob = -1
		}
		samples.Samples = append(samples.Samples, agent.Sample{
			Text: action(r.Kind, searching, first, i, s.padding), Tokens: 9, MeanLogprob: logprob, HasLogprob: true, FinishReason: "stop",
		})
	}
	return samples, nil
}

func action(kind pb.StepKind, searching bool, link, variant int, padding string) string {
	thoughts := fmt.Sprintf(`thoughts="variant %d <b>%s"`, variant, padding)
	switch {
	case kind == pb.StepKind_STEP_KIND_DECISION && searching:
		return fmt.Sprintf("ACTION_SELECTED = ActionWrapper(%s, action=Search(query='query %d'))  # [END]", thoughts, variant)
	case kind == pb.StepKind_STEP_KIND_DECISION:
		return fmt.Sprintf("ACTION_SELECTED = ActionWrapper(%s, action=Terminate())  # [END]", thoughts)
	case kind == pb.StepKind_STEP_KIND_SUMMARIZATION:
		return fmt.Sprintf("ACTION_SELECTED: LinkSelection = LinkSelection(grounded_summarization='According to [link_id=%d], so it is.', %s, selected_link_ids=[%d])  # [END]", link, thoughts, link)
	case kind == pb.StepKind_STEP_KIND_ANSWER:
		return fmt.Sprintf(`ACTION_SELECTED: Answer = Answer(%s, answer="It is Paris.")  # [END]`, thoughts)
	}
	return fmt.Sprintf("# variant %d\nACTION_SELECTED: Command = Check_Answer(passed=True)  # [END]", variant)
}

// resultsFound is how many results every search has.
const resultsFound = 3

// library finds the same pages for every query.
type library struct{ snippet string }

func (l library) Search(context.Context, string, int) ([]*pb.SearchResult, error) {
	results := make([]*pb.SearchResult, resultsFound)
	for i := range results {
		results[i] = &pb.SearchResult{Title: fmt.Sprintf("Page %d", i), Snippet: l.snippet}
	}
	return results, nil
}

// grow makes a completed trajectory of n searches, so of 2n+4 steps.
func (b *bench) grow(generation int, question string, sample, searches int) *pb.Trajectory {
	b.Helper()
	return b.growBy(&script{searches: searches}, library{"Paris is a <b>capital</b>."}, generation, question, sample)
}

func (b *bench) growBy(model agent.Model, tool agent.Tool, generation int, question string, sample int) *pb.Trajectory {
	b.Helper()
	id := &pb.Identity{
		Run: b.run.Name, Generation: int32(generation), Target: "own", Purpose: pb.Purpose_PURPOSE_GROW,
		Question: bus.Token("pool-" + question), Sample: int32(sample),
	}
	limits := &pb.Limits{Searches: 10, Results: 3, CallMs: 60_000, SearchMs: 60_000, TrajectoryMs: 600_000}
	t := &pb.Trajectory{
		Identity: id, Policy: &pb.Policy{Name: "base-0123456789", Rendering: pb.Rendering_RENDERING_BARE}, Limits: limits, Outcome: pb.Outcome_OUTCOME_COMPLETED,
		Question: "What is the capital of " + question + "?", Answer: "It is Paris.", Draft: "It is Paris.",
	}
	a := &agent.Agent{Model: model, Tool: tool, Settings: agent.Settings{
		Rendering: pb.Rendering_RENDERING_BARE, Limits: limits,
		Sampling: &pb.Sampling{Candidates: 3, Temperature: 0.5, MaxTokens: 256, Resamples: 1},
	}}
	state := agent.NewState(t.GetQuestion(), limits)
	for _, more := state.Next(); more; _, more = state.Next() {
		step, err := a.Step(b.Context(), id, state)
		if err != nil {
			b.Fatal(err)
		}
		if err := state.Apply(step); err != nil {
			b.Fatal(err)
		}
		t.Steps = append(t.Steps, step)
	}
	return t
}

// feedbackOn ranks every step's candidates the same way.
func feedbackOn(t *pb.Trajectory) *pb.Feedback {
	f := &pb.Feedback{Identity: t.GetIdentity(), Ranker: "llm", Outcome: pb.Outcome_OUTCOME_COMPLETED}
	for _, step := range t.GetSteps() {
		f.Steps = append(f.Steps, &pb.StepRanking{
			Step: step.GetIndex(), Ranking: []int32{chosenByRanker, chosenByPolicy, 0}, RankedBy: pb.RankedBy_RANKED_BY_RANKER,
		})
	}
	return f
}

// record puts trajectories, and feedback on the completed ones, on the bus.
func (b *bench) record(trajectories ...*pb.Trajectory) {
	b.Helper()
	for _, t := range trajectories {
		b.recordTrajectory(t)
		if t.GetOutcome() == pb.Outcome_OUTCOME_COMPLETED {
			f := feedbackOn(t)
			b.publish(bus.FeedbackSubject(f.GetRanker(), f.GetIdentity()), int(f.GetIdentity().GetGeneration()),
				&pb.Event{Body: &pb.Event_Feedback{Feedback: f}})
		}
	}
}

func (b *bench) recordTrajectory(t *pb.Trajectory) {
	b.Helper()
	b.publish(bus.TrajectorySubject(t.GetIdentity()), int(t.GetIdentity().GetGeneration()),
		&pb.Event{Body: &pb.Event_Trajectory{Trajectory: t}})
}

// fail makes a trajectory one that did not reach its end.
func fail(t *pb.Trajectory) *pb.Trajectory {
	t.Outcome, t.Failure = pb.Outcome_OUTCOME_FAILED, pb.FailureClass_FAILURE_CLASS_UNPARSABLE
	t.Steps = t.GetSteps()[:1]
	return t
}

// few is a generation of three questions with two samples each.
func (b *bench) few() []*pb.Trajectory {
	b.Helper()
	var all []*pb.Trajectory
	for i, question := range []string{"France", "Atlantis", "Old Narnia"} {
		for sample := range 2 {
			all = append(all, b.grow(1, question, sample, i+sample))
		}
	}
	return slices.Clip(all)
}
