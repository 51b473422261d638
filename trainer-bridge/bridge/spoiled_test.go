package bridge

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestSpoiledTrajectories are left out of the mixture, with a count; spoiled feedback leaves the default.
func TestSpoiledTrajectories(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.record(b.few()...)
	unranked := b.grow(1, "Utopia", 0, 1)
	b.recordTrajectory(unranked)
	stranger := devstack.TestStranger(t, b.bus.URL())
	feedback := &pb.Event{Run: b.run.Name, Generation: 1, Body: &pb.Event_Feedback{Feedback: feedbackOn(unranked)}}
	stranger.Publish(t, bus.FeedbackSubject("llm", unranked.GetIdentity()), devstack.Spoil(t, feedback)[0])

	spoiled := 0
	for i, bad := range devstack.Spoil(t, &pb.Event{Run: b.run.Name, Generation: 1, Body: &pb.Event_Trajectory{Trajectory: b.grow(1, "Eldorado", 0, 1)}}) {
		id := proto.CloneOf(b.grow(1, "Eldorado", i, 0).GetIdentity())
		if bad.Reason == "outcome" { // else it is a good one at its place
			continue
		}
		bad.Outcome = outcomeCompleted
		stranger.Publish(t, bus.TrajectorySubject(id), bad)
		spoiled++
	}
	stranger.Publish(t, "ratchet.v1.trajectory."+b.run.Name+".1.own.grow.no-sample", devstack.Spoiled{Outcome: outcomeCompleted})
	m := b.build(1)
	if m.event.GetDropped()[droppedInvalid] != int64(spoiled) || m.event.GetTrajectories() != 6+1 {
		t.Errorf("%v; want %d dropped as %s, and seven trajectories", m.event, spoiled, droppedInvalid)
	}
	if m.manifest.Unranked != int64(len(unranked.GetSteps())) {
		t.Errorf("%d examples unranked, want those of the trajectory whose feedback is spoiled", m.manifest.Unranked)
	}
}
