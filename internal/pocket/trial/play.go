package trial

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/pocket/world"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// trajectory is one finished sample of a policy on a question.
type trajectory struct {
	question  world.Question
	completed bool
	steps     []shown
	draft     string
	answer    string
}

// shown is a step with the prompt that it answered.
type shown struct {
	prompt string
	*pb.Step
}

// listener remembers the prompt that a model was asked last: it belongs to one trajectory.
type listener struct {
	agent.Model
	prompt string
}

// Sample implements agent.Model.
func (l *listener) Sample(ctx context.Context, r agent.Request) (agent.Samples, error) {
	l.prompt = r.Prompt
	return l.Model.Sample(ctx, r)
}

// play runs one question to its end. A failure of the policy's own is an outcome, any other an error.
func play(ctx context.Context, a agent.Agent, id *pb.Identity, q world.Question) (trajectory, error) {
	t := trajectory{question: q}
	asked := &listener{Model: a.Model}
	a.Model = asked
	s := agent.NewState(q.Text, a.Settings.Limits)
	for {
		if _, more := s.Next(); !more {
			t.completed, t.draft, t.answer = true, s.Draft(), s.Answer()
			return t, nil
		}
		step, err := a.Step(ctx, id, s)
		var own *agent.Failure
		switch {
		case errors.As(err, &own):
			return t, nil
		case err != nil:
			return t, fmt.Errorf("question %s: %w", q.ID, err)
		}
		t.steps = append(t.steps, shown{asked.prompt, step})
		if err := s.Apply(step); err != nil {
			return t, fmt.Errorf("question %s: %w", q.ID, err)
		}
	}
}

// playAll runs every question `repetitions` times, in parallel, and returns them in order: question by question.
func playAll(ctx context.Context, a agent.Agent, id *pb.Identity, questions []world.Question, repetitions int) ([]trajectory, error) {
	out := make([]trajectory, len(questions)*repetitions)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range out {
		group.Go(func() (err error) {
			mine := &pb.Identity{
				Run: id.GetRun(), Generation: id.GetGeneration(), Target: id.GetTarget(), Purpose: id.GetPurpose(),
				Question: questions[i/repetitions].ID, Sample: int32(i % repetitions),
			}
			out[i], err = play(ctx, a, mine, questions[i/repetitions])
			return err
		})
	}
	return out, group.Wait()
}
