package main

import (
	"context"
	"fmt"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// answersAtOnce is a policy that writes three outputs for each step, and does not search: decision and answer differ, the
// two checks do not. The third answer has no thoughts. What it writes would be a formula, in a sheet.
type answersAtOnce struct{ alike bool } // alike: all outputs are the first

func (m answersAtOnce) Sample(_ context.Context, r agent.Request) (agent.Samples, error) {
	var out agent.Samples
	for i, thoughts := range []string{"=first", "+second", ""} {
		if m.alike {
			i, thoughts = 0, "=first"
		}
		text := "ACTION_SELECTED: Command = Check_Answer(passed=True)  # [END]"
		switch r.Kind {
		case pb.StepKind_STEP_KIND_DECISION:
			text = fmt.Sprintf("ACTION_SELECTED = ActionWrapper(thoughts=\"%s%d\", action=Terminate())  # [END]", thoughts, i)
		case pb.StepKind_STEP_KIND_ANSWER:
			text = fmt.Sprintf("ACTION_SELECTED: Answer = Answer(thoughts=%q, answer='It is Paris.')  # [END]", thoughts)
		}
		out.Samples = append(out.Samples, agent.Sample{Text: text, Tokens: 9, MeanLogprob: -1 - float64(i), HasLogprob: true, FinishReason: "stop"})
	}
	return out, nil
}

func (answersAtOnce) Search(context.Context, string, int) ([]*pb.SearchResult, error) {
	return nil, nil
}

// Steps of such a trajectory that there is something to rank in.
const stepDecision, stepAnswer = 0, 1

// played puts a completed trajectory on the bus.
func (i installation) played(run string, purpose pb.Purpose, question string, sample int32) *pb.Identity {
	i.t.Helper()
	return i.playedBy(answersAtOnce{}, run, purpose, question, sample)
}

func (i installation) playedBy(policy answersAtOnce, run string, purpose pb.Purpose, question string, sample int32) *pb.Identity {
	i.t.Helper()
	limits := &pb.Limits{Searches: 5, Results: 3, CallMs: 60_000, SearchMs: 60_000, TrajectoryMs: 600_000}
	id := &pb.Identity{Run: run, Generation: 1, Target: "own", Purpose: purpose, Question: question, Sample: sample}
	out := &pb.Trajectory{
		Identity: id, Policy: &pb.Policy{Name: "own-0123456789", Rendering: pb.Rendering_RENDERING_BARE}, Limits: limits,
		Question: "=What is the capital of France?", Outcome: pb.Outcome_OUTCOME_COMPLETED,
	}
	a := &agent.Agent{Model: policy, Tool: policy, Settings: agent.Settings{
		Rendering: pb.Rendering_RENDERING_BARE, Limits: limits, Sampling: &pb.Sampling{Candidates: 3, Temperature: 0.5, MaxTokens: 64, Resamples: 1},
	}}
	state := agent.NewState(out.GetQuestion(), limits)
	for _, more := state.Next(); more; _, more = state.Next() {
		step, err := a.Step(i.t.Context(), id, state)
		if err != nil {
			i.t.Fatal(err)
		}
		if err := state.Apply(step); err != nil {
			i.t.Fatal(err)
		}
		out.Steps = append(out.Steps, step)
	}
	out.Draft, out.Answer = state.Draft(), state.Answer()
	i.publish(bus.TrajectorySubject(id), &pb.Event{Run: run, Generation: 1, Body: &pb.Event_Trajectory{Trajectory: out}})
	return id
}
