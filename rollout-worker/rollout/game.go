package rollout

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/llm"
	"github.com/ratchet-rl/ratchet/internal/search"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// game is one trajectory being played.
type game struct {
	*player
	id          *pb.Identity
	shard       *pb.Shard
	question    *pb.Question
	tool        search.Searcher
	seed        uint64
	cost        func(endpoint, model string, prompt, completion int64) int64 // config.Run.Cost
	traceparent string
	// lost is set once a trajectory of the shard is fenced: the shard is somebody else's, and what was not begun is
	// theirs to begin.
	lost *atomic.Bool
}

// errDeadline is the cause of the end of a trajectory's time. It is a timeout to whoever is cut off by it: a client that
// took it for anything else would call its endpoint down.
var errDeadline error = timeIsOver{}

type timeIsOver struct{}

func (timeIsOver) Error() string { return "the trajectory's time is over" }

// Timeout makes it one to net/http's callers.
func (timeIsOver) Timeout() bool { return true }

// guarded plays in a slot; a panic is this trajectory's error, not the process's end.
func (g *game) guarded(ctx context.Context) (err error) {
	slots, err := g.needs(ctx)
	if err != nil {
		return err
	}
	if err := g.slots.Acquire(ctx, slots); err != nil {
		return context.Cause(ctx)
	}
	defer g.slots.Release(slots)
	if g.lost.Load() {
		return fmt.Errorf("trajectory %s is not begun: %w", bus.IDTokens(g.id), bus.ErrFenced)
	}
	if _, twice := g.playing.LoadOrStore(bus.IDTokens(g.id), true); twice {
		g.lost.Store(true)
		return fmt.Errorf("trajectory %s is being played here, for an earlier delivery: %w", bus.IDTokens(g.id), bus.ErrFenced)
	}
	defer g.playing.Delete(bus.IDTokens(g.id))
	defer func() {
		if r := recover(); r != nil {
			g.log.Error("trajectory panicked", "id", bus.IDTokens(g.id), "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("trajectory %s panicked: %v", bus.IDTokens(g.id), r)
		}
	}()
	err = g.play(ctx)
	if errors.Is(err, bus.ErrFenced) {
		g.log.Info("dropped: another worker has gone on with it", "id", bus.IDTokens(g.id))
		g.metrics.fenced.Inc()
		g.lost.Store(true)
	}
	if err != nil {
		return fmt.Errorf("trajectory %s: %w", bus.IDTokens(g.id), err)
	}
	return nil
}

// play goes on after the last journalled step, to the end, and publishes.
func (g *game) play(ctx context.Context) error {
	// The journal first: it is purged once its trajectory is finished, so that an empty one without a result is new,
	// however long the answers took.
	journal, steps, err := g.bus.OpenJournal(ctx, g.id)
	if err != nil {
		return err
	}
	if _, err := g.bus.Last(ctx, bus.Trajectories, bus.TrajectorySubject(g.id)); !errors.Is(err, bus.ErrNotFound) {
		return err // nil: it is there
	}
	state := agent.NewState(g.question.GetText(), g.shard.GetLimits())
	failed, err := g.resume(state, steps)
	if err != nil {
		return worker.Permanent(worker.WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, fmt.Errorf("resume: %w", err)))
	}
	if g.shard.GetSuspect() {
		if err := g.attempt(ctx, journal, state); err != nil {
			return err
		}
		defer g.letGo(ctx, journal) // a panic is no death either
	}
	if failed == nil {
		if steps, failed, err = g.finish(ctx, journal, state, steps); err != nil {
			return err
		}
	}
	return g.publish(ctx, state, steps, failed)
}

// resume applies the journalled steps; prompts must come out as they were.
func (g *game) resume(state *agent.State, steps []*pb.Step) (*agent.Failure, error) {
	for _, step := range steps {
		if err := agent.VerifyStep(state, step, g.shard.GetPolicy()); err != nil {
			return nil, err
		}
		if step.GetChosen() < 0 {
			return agent.FailureOf(step), nil
		}
		if err := state.Apply(step); err != nil {
			return nil, err
		}
	}
	if len(steps) > 0 {
		g.metrics.resumed.Inc()
	}
	return nil, nil
}

// finish plays the steps that are left. Each is in the journal before the next begins.
func (g *game) finish(ctx context.Context, journal *bus.Journal, state *agent.State, steps []*pb.Step) ([]*pb.Step, *agent.Failure, error) {
	timed, cancel := g.timed(ctx, steps)
	defer cancel()
	player := g.agent()
	for {
		if _, going := state.Next(); !going {
			return steps, nil, nil
		}
		select {
		case <-g.stopping:
			return nil, nil, errStopping
		default:
		}
		step, err := player.Step(timed, g.id, state)
		var failed *agent.Failure
		switch {
		case errors.As(err, &failed):
		case err != nil && errors.Is(context.Cause(timed), errDeadline) && ctx.Err() == nil && !worker.IsOutage(err) && !errors.Is(err, agent.ErrTool):
			if err := g.answers(ctx); err != nil {
				return nil, nil, err
			}
			failed = &agent.Failure{Class: pb.FailureClass_FAILURE_CLASS_DEADLINE, Reason: fmt.Sprintf("not finished within %d ms", g.shard.GetLimits().GetTrajectoryMs())}
		case err != nil:
			return nil, nil, err
		}
		if step != nil && len(step.GetCandidates()) > 0 {
			if err := journal.Append(ctx, step); err != nil {
				return nil, nil, err
			}
			steps = append(steps, step)
			g.metrics.stepped(step)
		}
		if failed != nil {
			return steps, failed, nil
		}
		if err := state.Apply(step); err != nil {
			return nil, nil, worker.Permanent(err)
		}
	}
}

// answers asks the endpoint, when time is over: a deadline is the policy's own only if it does. A client that was cut off
// while it tried again cannot tell.
func (g *game) answers(ctx context.Context) error {
	var err error
	for _, endpoint := range llm.Endpoints(g.shard.GetPolicy()) {
		if _, err = g.model.Models(ctx, endpoint); !worker.IsOutage(err) {
			return ctx.Err() // whatever it said, it answered: not every server lists models
		}
	}
	return err
}

// timed bounds what is left of the trajectory's time: its finished steps took theirs, whoever played them. What a worker's
// death or an outage took is nobody's.
func (g *game) timed(ctx context.Context, steps []*pb.Step) (context.Context, context.CancelFunc) {
	limit := time.Duration(g.shard.GetLimits().GetTrajectoryMs()) * time.Millisecond
	if limit <= 0 {
		return context.WithCancel(ctx)
	}
	for _, step := range steps {
		limit -= time.Duration(step.GetElapsedMs()) * time.Millisecond
	}
	return context.WithTimeoutCause(ctx, limit, errDeadline)
}

func (g *game) agent() *agent.Agent {
	policy := g.shard.GetPolicy()
	return &agent.Agent{
		Model: &policyModel{client: g.model, policy: policy, affinity: bus.IDTokens(g.id)},
		Tool:  g.tool,
		Tools: map[string]agent.Tool{agent.ToolCalculator: agent.Calculator{}},
		Settings: agent.Settings{
			Rendering: policy.GetRendering(), Shots: int(policy.GetShots()), Sampling: policy.GetSampling(),
			Limits: g.shard.GetLimits(), Seed: g.seed,
		},
	}
}

func (g *game) publish(ctx context.Context, state *agent.State, steps []*pb.Step, failed *agent.Failure) error {
	t := &pb.Trajectory{
		Identity: g.id, Policy: g.shard.GetPolicy(), Limits: g.shard.GetLimits(), Question: g.question.GetText(), Steps: steps,
		Outcome: pb.Outcome_OUTCOME_COMPLETED, Draft: state.Draft(), Answer: state.Answer(), Usage: &pb.Usage{},
	}
	if failed != nil {
		t.Outcome, t.Failure, t.Reason = pb.Outcome_OUTCOME_FAILED, failed.Class, failed.Reason
	}
	for _, step := range steps {
		u := step.GetUsage()
		t.Usage.Calls += u.GetCalls()
		t.Usage.PromptTokens += u.GetPromptTokens()
		t.Usage.CompletionTokens += u.GetCompletionTokens()
		t.Usage.Searches += u.GetSearches()
	}
	policy := g.shard.GetPolicy()
	t.Usage.CostNano = g.cost(policy.GetEndpoint(), policy.GetModel(), t.GetUsage().GetPromptTokens(), t.GetUsage().GetCompletionTokens())
	_, err := g.bus.Publish(ctx, bus.TrajectorySubject(g.id), &pb.Event{
		Run: g.id.GetRun(), Generation: g.id.GetGeneration(), Traceparent: g.traceparent,
		Body: &pb.Event_Trajectory{Trajectory: t},
	})
	if err == nil {
		g.metrics.finished(t)
	}
	return err
}
