package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// rejections is the metric of one connection.
func rejections(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "ratchet_bus_rejected_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			have[m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue()] += m.GetCounter().GetValue()
		}
	}
	return have
}

type place struct{ stream, subject string }

// goods is one good event for each stream, and where it belongs.
func goods() map[place]*pb.Event {
	id := identity("pool-1")
	all := map[place]*pb.Event{
		{bus.Tasks, bus.TaskSubject("rollout", "r", 1, "a")}:           {Body: &pb.Event_Task{Task: task("a")}},
		{bus.Steps, bus.StepSubject(id)}:                               {Body: &pb.Event_Step{Step: step(0, "zero")}},
		{bus.Trajectories, bus.TrajectorySubject(id)}:                  trajectory(id, "a"),
		{bus.Feedback, bus.FeedbackSubject("llm", id)}:                 {Body: &pb.Event_Feedback{Feedback: &pb.Feedback{Identity: id, Ranker: "llm"}}},
		{bus.Verdicts, bus.VerdictSubject("llm", id)}:                  {Body: &pb.Event_Verdict{Verdict: &pb.Verdict{Identity: id, Judge: "llm"}}},
		{bus.Results, bus.ResultSubject("shout", "r", 1, "a")}:         {Body: &pb.Event_Result{Result: &pb.Result{Kind: "shout", Task: "a"}}},
		{bus.Training, bus.TrainingSubject("r", 1, "own", "mixture")}:  {Body: &pb.Event_Mixture{Mixture: &pb.Mixture{}}},
		{bus.Training, bus.TrainingSubject("r", 1, "s", "checkpoint")}: {Body: &pb.Event_Checkpoint{Checkpoint: &pb.Checkpoint{Target: "s"}}},
		{bus.Evals, bus.EvalSubject("r", 1, "own", "report-1")}:        {Body: &pb.Event_Report{Report: &pb.Report{Target: "own"}}},
		{bus.Runs, bus.RunSubject("r", "entered")}:                     {Body: &pb.Event_RunLog{RunLog: &pb.RunLog{Target: "own"}}},
		{bus.Dead, bus.DeadSubject("rollout", "r")}:                    {Body: &pb.Event_DeadLetter{DeadLetter: &pb.DeadLetter{Kind: "rollout", Identities: []*pb.Identity{id}}}},
	}
	for _, ev := range all {
		ev.Run, ev.Generation = "r", 1
	}
	return all
}

// spoiledBus is a connection with metrics, and a stranger beside it.
func spoiledBus(t *testing.T) (*bus.Conn, *devstack.Stranger, *prometheus.Registry) {
	t.Helper()
	cfg, registry := devstack.TestConfig(devstack.TestNATS(t)), prometheus.NewRegistry()
	blobs := &memory{blobs: map[string][]byte{}}
	conn, err := bus.Connect(t.Context(), cfg, bus.Options{Role: "test", Log: devstack.TestLog(t), Blobs: blobs, Metrics: registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	return conn, devstack.TestStranger(t, cfg.URL), registry
}

// TestReadingWhatIsSpoiled: whatever is wrong with a message, on whatever stream, its reader is told so, and it is counted
// by stream and reason.
func TestReadingWhatIsSpoiled(t *testing.T) {
	t.Parallel()
	conn, stranger, registry := spoiledBus(t)
	want := map[string]float64{}
	for place, good := range goods() {
		for _, bad := range devstack.Spoil(t, good) {
			stranger.Publish(t, place.subject, bad)
			m, err := conn.Last(t.Context(), place.stream, place.subject)
			if err != nil {
				t.Fatal(err)
			}
			if ev, err := m.Event(t.Context()); !errors.Is(err, bus.ErrRejected) {
				t.Errorf("%s, %s: read %v, %v", place.subject, bad.Reason, ev, err)
			}
			want[place.stream+" "+bad.Reason]++
			if err := conn.Purge(t.Context(), place.stream, place.subject); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := conn.Publish(t.Context(), place.subject, good); err != nil {
			t.Fatal(err)
		}
		if ev, err := conn.First(t.Context(), place.stream, place.subject); err != nil || ev.GetBody() == nil {
			t.Errorf("%s: a good event is read as %v, %v", place.subject, ev, err)
		}
	}
	if diff := cmp.Diff(want, rejections(t, registry)); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// TestTheFirstStands: what somebody says after it, or before it without being an event, changes nothing.
func TestTheFirstStands(t *testing.T) {
	t.Parallel()
	conn, stranger, _ := spoiledBus(t)
	subject := bus.EvalSubject("r", 1, "own", "decision-1")
	decision := func(ruling pb.Ruling) *pb.Event {
		return &pb.Event{Id: ruling.String(), Run: "r", Generation: 1, Body: &pb.Event_Decision{Decision: &pb.Decision{Target: "own", Ruling: ruling}}}
	}
	for _, bad := range devstack.Spoil(t, decision(pb.Ruling_RULING_PROMOTE)) {
		stranger.Publish(t, subject, bad)
	}
	if _, err := conn.First(t.Context(), bus.Evals, subject); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("%v, want nothing found where nothing is an event", err)
	}
	for _, ruling := range []pb.Ruling{pb.Ruling_RULING_REJECT, pb.Ruling_RULING_PROMOTE} {
		if _, err := conn.Publish(t.Context(), subject, decision(ruling)); err != nil {
			t.Fatal(err)
		}
	}
	if ev, err := conn.First(t.Context(), bus.Evals, subject); err != nil || ev.GetDecision().GetRuling() != pb.Ruling_RULING_REJECT {
		t.Errorf("%v, %v; want the first decision", ev, err)
	}
}

// TestSpoiledWork: work that is spoiled is a dead letter with the original in it, and the next is done.
func TestSpoiledWork(t *testing.T) {
	t.Parallel()
	conn, stranger, registry := spoiledBus(t)
	spoiled := devstack.Spoil(t, &pb.Event{Run: "r", Generation: 1, Body: &pb.Event_Task{Task: task("a")}})
	for i, bad := range spoiled {
		stranger.Publish(t, bus.TaskSubject("rollout", "r", 1, fmt.Sprint("bad-", i)), bad)
	}
	if err := conn.PublishTask(t.Context(), "r", 1, task("good")); err != nil {
		t.Fatal(err)
	}
	var handled []string
	stop := consume(t, conn, bus.Loop{}, func(_ context.Context, d *bus.Delivery) error {
		handled = append(handled, d.Event.GetTask().GetId())
		return nil
	})
	settled(t, conn)
	stop()
	if len(handled) != 1 || handled[0] != "good" {
		t.Errorf("handled %v, want only what is good", handled)
	}
	letters := dead(t, conn)
	if len(letters) != len(spoiled) {
		t.Errorf("%d dead letters, want %d", len(letters), len(spoiled))
	}
	for i, letter := range letters {
		if letter.GetFailure() != pb.FailureClass_FAILURE_CLASS_INVALID || !bytes.Equal(letter.GetPayload(), spoiled[i].Data) {
			t.Errorf("%v", letter)
		}
	}
	if err := conn.SweepAdvisories(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := deadOf(t, conn, "ratchet.v1.dead.>"); len(all) != len(spoiled) {
		t.Errorf("%d dead letters after a sweep, want no second ones of what has its own", len(all))
	}
	if have := rejections(t, registry)["TASKS undecodable"]; have != 2 {
		t.Errorf("counted %v undecodable tasks, want 2", have)
	}
}

// TestSpoiledJournal: what is no step of a journal is not there for the worker that goes on with it.
func TestSpoiledJournal(t *testing.T) {
	t.Parallel()
	conn, stranger, _ := spoiledBus(t)
	id := identity("pool-1")
	journal, _, err := conn.OpenJournal(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := journal.Append(t.Context(), step(0, "zero")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range devstack.Spoil(t, &pb.Event{Run: "r", Generation: 1, Body: &pb.Event_Step{Step: step(1, "one")}}) {
		stranger.Publish(t, bus.StepSubject(id), bad)
	}
	journal, steps, err := conn.OpenJournal(t.Context(), id)
	if err != nil || len(steps) != 1 {
		t.Fatalf("%v, %v; want the one step", steps, err)
	}
	if err := journal.Append(t.Context(), step(1, "one")); err != nil {
		t.Fatal(err)
	}
	if _, steps, err = conn.OpenJournal(t.Context(), id); err != nil || len(steps) != 2 {
		t.Errorf("%v, %v; want two steps", steps, err)
	}
}
