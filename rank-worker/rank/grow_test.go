package rank

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// The candidates of every step that script writes, but for the grounding check, where all are the same.
const (
	unread    = 0 // cannot be read
	chosen    = 1 // the likeliest: continues the trajectory
	preferred = 2 // what the tests' judge likes; in the answer step its thoughts are empty
	other     = 3
	twin      = 4 // of the chosen one
)

// script is a policy that searches once and answers.
type script struct{ decisions int }

func (s *script) Sample(_ context.Context, r agent.Request) (agent.Samples, error) {
	if r.Kind == pb.StepKind_STEP_KIND_DECISION {
		s.decisions++
	}
	texts := make([]string, 5)
	for i := range texts {
		texts[i] = s.write(r.Kind, map[int]string{chosen: "first idea", preferred: "best idea", other: "third idea", twin: "first idea"}[i])
	}
	if r.Kind == pb.StepKind_STEP_KIND_ANSWER {
		texts[preferred] = strings.ReplaceAll(texts[preferred], "best idea", "")
	}
	if r.Kind != pb.StepKind_STEP_KIND_GROUNDING {
		texts[unread] = "I had rather not."
	}
	var samples agent.Samples
	for i, text := range texts {
		logprob := map[int]float64{chosen: -1, twin: -1, other: -2}[i]
		if logprob == 0 {
			logprob = -3
		}
		samples.Samples = append(samples.Samples, agent.Sample{Text: text, Tokens: 9, MeanLogprob: logprob, HasLogprob: true, FinishReason: "stop"})
	}
	return samples, nil
}

func (s *script) write(kind pb.StepKind, thoughts string) string {
	switch kind {
	case pb.StepKind_STEP_KIND_DECISION:
		if s.decisions == 1 {
			return fmt.Sprintf("ACTION_SELECTED = ActionWrapper(thoughts=%q, action=Search(query='capital of France'))  # [END]", thoughts)
		}
		return fmt.Sprintf("ACTION_SELECTED = ActionWrapper(thoughts=%q, action=Terminate())  # [END]", thoughts)
	case pb.StepKind_STEP_KIND_SUMMARIZATION:
		return fmt.Sprintf("ACTION_SELECTED: LinkSelection = LinkSelection(grounded_summarization='It is Paris [link_id=1].', thoughts=%q, selected_link_ids=[1])  # [END]", thoughts)
	case pb.StepKind_STEP_KIND_ANSWER:
		return fmt.Sprintf("ACTION_SELECTED: Answer = Answer(thoughts=%q, answer='It is Paris [link_id=1].')  # [END]", thoughts)
	case pb.StepKind_STEP_KIND_RELEVANCE:
		return fmt.Sprintf("# It answers.\nACTION_SELECTED: Command = Revise_Answer(revised_answer=%q)  # [END]", "Paris, says the "+thoughts)
	}
	return "# The link says so.\nACTION_SELECTED: Command = Check_Answer(passed=True)  # [END]"
}

// library finds one page.
type library struct{}

func (library) Search(context.Context, string, int) ([]*pb.SearchResult, error) {
	return []*pb.SearchResult{{Title: "France", Snippet: "Its capital is Paris."}}, nil
}

// Steps of a grown trajectory.
const (
	stepAnswer    = 3
	stepGrounding = 5
	stepsGrown    = 6
	// distinct is what the judge is shown of each of them but the last.
	distinct = 3
)

// grow is a completed trajectory of the run.
func grow(t testing.TB, run string, sample int) *pb.Trajectory {
	t.Helper()
	limits := &pb.Limits{Searches: 5, Results: 3, CallMs: 60_000, SearchMs: 60_000, TrajectoryMs: 600_000}
	out := &pb.Trajectory{
		Identity: &pb.Identity{Run: run, Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-q1", Sample: int32(sample)},
		Policy:   &pb.Policy{Name: "own-0123456789", Rendering: pb.Rendering_RENDERING_BARE}, Limits: limits,
		Question: "What is the capital of France?", Outcome: pb.Outcome_OUTCOME_COMPLETED,
	}
	a := &agent.Agent{Model: &script{}, Tool: library{}, Settings: agent.Settings{
		Rendering: pb.Rendering_RENDERING_BARE, Limits: limits, Sampling: &pb.Sampling{Candidates: 5, Temperature: 0.5, MaxTokens: 64, Resamples: 1},
	}}
	state := agent.NewState(out.GetQuestion(), limits)
	for _, more := state.Next(); more; _, more = state.Next() {
		step, err := a.Step(t.Context(), out.GetIdentity(), state)
		if err != nil {
			t.Fatal(err)
		}
		if err := state.Apply(step); err != nil {
			t.Fatal(err)
		}
		out.Steps = append(out.Steps, step)
	}
	if len(out.GetSteps()) != stepsGrown {
		t.Fatalf("%d steps, want %d", len(out.GetSteps()), stepsGrown)
	}
	out.Draft, out.Answer = state.Draft(), state.Answer()
	return out
}

// publish puts a trajectory on the bus.
func publish(t testing.TB, conn *bus.Conn, trajectory *pb.Trajectory) {
	t.Helper()
	id := trajectory.GetIdentity()
	_, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), &pb.Event{
		Run: id.GetRun(), Generation: id.GetGeneration(), Body: &pb.Event_Trajectory{Trajectory: trajectory},
	})
	if err != nil {
		t.Fatal(err)
	}
}
