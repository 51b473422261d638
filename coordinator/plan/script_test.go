package plan_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// script is how the workers answer. The zero value is a run in which everything succeeds and nobody is promoted.
type script struct {
	// rulings by generation and look; without one, a generation is undecided.
	rulings map[[2]int]pb.Ruling
	// noExamples makes the mixtures empty.
	noExamples bool
	// broken is asked before each task; its error is the task's.
	broken func(*pb.Task) error
	// gate is taken before each trajectory; nil lets all pass.
	gate chan struct{}
	// fails names a class that every trajectory fails with; unspecified completes them.
	fails pb.FailureClass
}

const callsPerTrajectory = 3

// workers serves every kind by the script until the test ends.
func (r *rig) workers(s script) (tasks *atomic.Int64) {
	r.t.Helper()
	tasks = new(atomic.Int64)
	ctx, stop := context.WithCancel(r.ctx)
	ended := make(chan error)
	kinds := []string{"rollout", "build", "train", "deploy", "evaluate"}
	for _, kind := range kinds {
		loop := bus.Loop{Source: bus.TaskSource(kind), Slots: 4, MaxDeliver: 1}
		go func() {
			ended <- r.conn.Consume(ctx, loop, func(ctx context.Context, d *bus.Delivery) error {
				tasks.Add(1)
				return s.do(ctx, r.conn, d.Event)
			})
		}()
	}
	r.t.Cleanup(func() {
		stop()
		for range kinds {
			if err := <-ended; err != nil {
				r.t.Errorf("scripted worker: %v", err)
			}
		}
	})
	return tasks
}

func (s script) do(ctx context.Context, conn *bus.Conn, ev *pb.Event) error {
	task := ev.GetTask()
	if s.broken != nil {
		if err := s.broken(task); err != nil {
			return err
		}
	}
	out := answers{ctx, conn, ev}
	switch work := task.GetWork().(type) {
	case *pb.Task_Shard:
		return s.roll(out, work.Shard)
	case *pb.Task_Build:
		m := &pb.Mixture{Id: fmt.Sprintf("mixture-%d", ev.GetGeneration()), Examples: 5}
		if s.noExamples {
			m = &pb.Mixture{Dropped: map[string]int64{"overlap": 2}}
		}
		return out.training("own", "mixture", &pb.Event{Body: &pb.Event_Mixture{Mixture: m}})
	case *pb.Task_Train:
		target := work.Train.GetTarget()
		return out.training(target, "checkpoint", &pb.Event{Body: &pb.Event_Checkpoint{Checkpoint: &pb.Checkpoint{
			Id: fmt.Sprintf("c-%s-%d", target, ev.GetGeneration()), Target: target, Mixture: work.Train.GetMixture().GetId(),
		}}})
	case *pb.Task_Deploy:
		c := work.Deploy.GetCheckpoint()
		return out.training(c.GetTarget(), "deployment", &pb.Event{Body: &pb.Event_Deployment{Deployment: &pb.Deployment{
			Target: c.GetTarget(), Checkpoint: c.GetId(), Policy: &pb.Policy{Name: c.GetId(), Checkpoint: c.GetId()},
		}}})
	case *pb.Task_Evaluate:
		return s.evaluate(out, work.Evaluate)
	}
	return fmt.Errorf("unexpected task %v", task)
}

// roll makes a shard's trajectories, and at once what rankers or the judge say of them.
func (s script) roll(out answers, shard *pb.Shard) error {
	for _, q := range shard.GetQuestions() {
		if s.gate != nil {
			select {
			case s.gate <- struct{}{}:
			case <-out.ctx.Done():
				return context.Cause(out.ctx)
			}
		}
		id := &pb.Identity{
			Run: out.task.GetRun(), Generation: out.task.GetGeneration(), Target: shard.GetTarget(), Purpose: shard.GetPurpose(),
			Question: q.GetToken(), Sample: shard.GetFirstSample(),
		}
		if err := s.trajectory(out, id, shard.GetPolicy()); err != nil {
			return err
		}
	}
	return nil
}

func (s script) trajectory(out answers, id *pb.Identity, policy *pb.Policy) error {
	t := &pb.Trajectory{
		Identity: id, Policy: policy, Outcome: pb.Outcome_OUTCOME_COMPLETED,
		Usage: &pb.Usage{Calls: callsPerTrajectory, PromptTokens: 20, CompletionTokens: 10, CostNano: 5e8},
	}
	if s.fails != 0 {
		t.Outcome, t.Failure = pb.Outcome_OUTCOME_FAILED, s.fails
	}
	if err := out.publish(bus.TrajectorySubject(id), &pb.Event{Body: &pb.Event_Trajectory{Trajectory: t}}); err != nil {
		return err
	}
	if id.GetPurpose() == pb.Purpose_PURPOSE_EVAL {
		return out.publish(bus.VerdictSubject("exact", id), &pb.Event{Body: &pb.Event_Verdict{Verdict: &pb.Verdict{
			Identity: id, Judge: "exact", Outcome: pb.Outcome_OUTCOME_COMPLETED,
		}}})
	}
	if s.fails != 0 {
		return nil
	}
	for _, ranker := range []string{"perplexity", "mine"} {
		err := out.publish(bus.FeedbackSubject(ranker, id), &pb.Event{Body: &pb.Event_Feedback{Feedback: &pb.Feedback{
			Identity: id, Ranker: ranker, Outcome: pb.Outcome_OUTCOME_COMPLETED,
		}}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s script) evaluate(out answers, e *pb.Evaluate) error {
	report := &pb.Report{Target: e.GetTarget(), Look: e.GetLook(), Repetitions: e.GetRepetitions(), Answer: &pb.Score{Mean: 0.5}}
	err := out.eval(e.GetTarget(), fmt.Sprintf("report-%d", e.GetLook()), &pb.Event{Body: &pb.Event_Report{Report: report}})
	if err != nil || e.GetTarget() != "own" {
		return err
	}
	ruling := pb.Ruling_RULING_UNDECIDED
	if e.GetIncumbent() < 0 {
		ruling = pb.Ruling_RULING_BASELINE
	}
	if scripted, ok := s.rulings[[2]int{int(out.task.GetGeneration()), int(e.GetLook())}]; ok {
		ruling = scripted
	}
	return out.eval("own", fmt.Sprintf("decision-%d", e.GetLook()), &pb.Event{Body: &pb.Event_Decision{Decision: &pb.Decision{
		Target: "own", Ruling: ruling, Look: e.GetLook(), Challenger: out.task.GetGeneration(), Incumbent: e.GetIncumbent(),
	}}})
}

// answers publishes what a task produced.
type answers struct {
	ctx  context.Context
	conn *bus.Conn
	task *pb.Event
}

func (a answers) publish(subject string, ev *pb.Event) error {
	ev.Run, ev.Generation = a.task.GetRun(), a.task.GetGeneration()
	_, err := a.conn.Publish(a.ctx, subject, ev)
	return err
}

func (a answers) training(target, what string, ev *pb.Event) error {
	return a.publish(bus.TrainingSubject(a.task.GetRun(), int(a.task.GetGeneration()), target, what), ev)
}

func (a answers) eval(target, what string, ev *pb.Event) error {
	return a.publish(bus.EvalSubject(a.task.GetRun(), int(a.task.GetGeneration()), target, what), ev)
}
