package plan_test

import (
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestSpoiledStreams: whatever a stranger has put on the streams that the coordinator counts, before the workers do and
// after, a run ends as it does without.
func TestSpoiledStreams(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stranger := devstack.TestStranger(t, r.cfg.Bus.URL)
	event := func(generation int32, ev *pb.Event) *pb.Event { ev.Run, ev.Generation = runName, generation; return ev }
	mixture := event(1, &pb.Event{Body: &pb.Event_Mixture{Mixture: &pb.Mixture{Id: "forged"}}})
	checkpoint := event(1, &pb.Event{Body: &pb.Event_Checkpoint{Checkpoint: &pb.Checkpoint{Id: "forged", Target: "own"}}})
	decision := event(1, &pb.Event{Body: &pb.Event_Decision{Decision: &pb.Decision{Target: "own", Look: 1, Ruling: pb.Ruling_RULING_REJECT}}})
	elsewhere := &pb.Identity{Run: "elsewhere", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-0"}
	letter := &pb.DeadLetter{Kind: "rollout", Identities: []*pb.Identity{elsewhere}}
	for subject, good := range map[string]*pb.Event{
		bus.TrainingSubject(runName, 1, "own", "mixture"):    mixture,
		bus.TrainingSubject(runName, 1, "own", "checkpoint"): checkpoint,
		bus.EvalSubject(runName, 1, "own", "decision-1"):     decision,
		bus.DeadSubject("build", runName):                    event(1, &pb.Event{Body: &pb.Event_DeadLetter{DeadLetter: &pb.DeadLetter{Kind: "build"}}}),
	} {
		for _, bad := range devstack.Spoil(t, good) {
			stranger.Publish(t, subject, bad)
		}
	}
	for _, subject := range []string{"trajectory.r.1.own.grow.short", "feedback.llm.r.x", "verdict.llm.r.0.own.eval.q.-1", "training.r.1", "eval.r.nine.own.report-1"} {
		stranger.Publish(t, "ratchet.v1."+subject, devstack.Spoiled{Outcome: "completed"})
	}
	if _, err := r.conn.Publish(r.ctx, bus.DeadSubject("rollout", runName), event(1, &pb.Event{Id: "letter", Body: &pb.Event_DeadLetter{DeadLetter: letter}})); err != nil {
		t.Fatal(err)
	}
	r.workers(twoGenerations)
	r.coordinator()
	r.mustAsk("submit", r.spec(4))
	r.onPhase(2, pb.Phase_PHASE_GROW)
	for id, ev := range map[string]*pb.Event{ // said again, and otherwise
		bus.TrainingSubject(runName, 1, "own", "mixture"):    mixture,
		bus.TrainingSubject(runName, 1, "own", "checkpoint"): checkpoint,
		bus.EvalSubject(runName, 1, "own", "decision-1"):     decision,
	} {
		ev.Id = "replayed." + id
		if _, err := r.conn.Publish(r.ctx, id, ev); err != nil {
			t.Fatal(err)
		}
	}
	r.untilFinished()
	if s := r.state(); s.Incumbent == 0 {
		t.Errorf("the incumbent is generation 0: a decision that was replayed counted; %s", s.Reason)
	}
	for _, p := range r.state().Progress {
		if p.Dead != 0 {
			t.Errorf("a dead letter about another run was counted: %+v", p)
		}
	}
}

// TestTerminatedTask: a stranger takes a shard, and ends it without a word. It is in the dead letters, and its trajectories
// are made all the same.
func TestTerminatedTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.coordinator()
	spec := r.spec(4)
	spec.Generations = 0
	r.mustAsk("submit", spec)
	r.onPhase(0, pb.Phase_PHASE_BASELINE)
	devstack.TestStranger(t, r.cfg.Bus.URL).Terminate(t, bus.Tasks, "rollout")
	r.workers(script{})
	r.untilFinished()
	if got := len(r.events(bus.Trajectories)); got != 4 {
		t.Errorf("%d trajectories, want all four", got)
	}
	r.until("the sweep", func() bool { return len(r.events(bus.Dead)) == 1 })
}
