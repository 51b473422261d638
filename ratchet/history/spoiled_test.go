package history_test

import (
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// TestSpoiledStreams: what the command reads, it reads around what is spoiled.
func TestSpoiledStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := devstack.TestStranger(t, w.conn.URL())
	id, unread := identity(grow, 0), identity(grow, 1)
	for subject, good := range map[string]*pb.Event{
		bus.RunSubject(run, "entered"):                      {Body: &pb.Event_RunLog{RunLog: &pb.RunLog{What: "entered", Phase: pb.Phase_PHASE_GROW, Target: "own", Expected: 99}}},
		bus.DeadSubject("rollout", run):                     {Body: &pb.Event_DeadLetter{DeadLetter: &pb.DeadLetter{Kind: "rollout"}}},
		bus.StepSubject(unread):                             {Body: &pb.Event_Step{Step: &pb.Step{}}},
		bus.TrainingSubject(run, 1, "own", "mixture"):       {Body: &pb.Event_Mixture{Mixture: &pb.Mixture{Id: "forged"}}},
		bus.TrainingSubject(run, 1, "own", "checkpoint"):    {Body: &pb.Event_Checkpoint{Checkpoint: &pb.Checkpoint{Id: "forged", Target: "own"}}},
		bus.EvalSubject(run, 1, "own", "report-1"):          {Body: &pb.Event_Report{Report: &pb.Report{Target: "own"}}},
		"ratchet.v1.step." + run + ".1.own.grow.sampleless": {Body: &pb.Event_Step{Step: &pb.Step{}}},
	} {
		good.Run, good.Generation = run, 1
		for _, bad := range devstack.Spoil(t, good) {
			stranger.Publish(t, subject, bad)
		}
	}
	stranger.Publish(t, bus.TaskSubject("rollout", run, 1, "a"), devstack.Spoiled{Reason: "body"})
	stranger.Publish(t, bus.FeedbackSubject("mine", id), devstack.Spoiled{Reason: "body"})
	stranger.Publish(t, "ratchet.v1.trajectory."+run+".1.own.grow.sampleless", devstack.Spoiled{Outcome: "completed"})
	w.log("enter-grow", 1, &pb.RunLog{What: "entered", Phase: pb.Phase_PHASE_GROW, Target: "own", Expected: 1})
	w.trajectory(id, 0)
	w.feedback(id, "llm")
	mixture := &pb.Event{Run: run, Generation: 1, Body: &pb.Event_Mixture{Mixture: &pb.Mixture{Id: "first"}}}
	w.publish(bus.TrainingSubject(run, 1, "own", "mixture"), mixture)
	w.publish(bus.TrainingSubject(run, 1, "own", "mixture"), &pb.Event{Id: "again", Run: run, Generation: 1, Body: &pb.Event_Mixture{Mixture: &pb.Mixture{Id: "second"}}})

	if l := w.ledger(); !l.Balanced || len(l.Entries) != 1 || l.Entries[0].Expected != 1 || l.Entries[0].Completed != 1 {
		t.Errorf("the ledger: %+v", l)
	}
	results, err := history.ReadResults(t.Context(), w.conn, run)
	if err != nil || results.At(1).Mixture.GetId() != "first" || len(results.At(1).Checkpoints) != 0 {
		t.Errorf("the results: %+v, %v; want the first mixture only", results, err)
	}
	story, err := history.ReadStory(t.Context(), w.conn, id)
	if err != nil || len(story.Feedback) != 1 {
		t.Errorf("the story: %+v, %v", story, err)
	}
	if story, err := history.ReadStory(t.Context(), w.conn, unread); !history.IsNotFound(err) {
		t.Errorf("a journal of nothing: %+v, %v", story, err)
	}
	if all, err := history.FindTrajectories(t.Context(), w.conn, history.Query{Run: run, Generation: -1, Sample: -1}); err != nil || len(all) != 2 {
		t.Errorf("the trajectories: %v, %v; want two identities", all, err)
	}
	if l, err := history.FindLineage(t.Context(), w.conn, "forged"); !history.IsNotFound(err) {
		t.Errorf("a forged model: %+v, %v", l, err)
	}
}
