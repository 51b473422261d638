package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/fault"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// published are events of every body but a step, by the stream that takes them; each stream takes one of a subject.
func published() map[string]*pb.Event {
	id := identity("pool-1")
	training := func(what string) string { return bus.TrainingSubject("r", 1, "own", what) }
	all := map[string]*pb.Event{
		bus.TaskSubject("rollout", "r", 1, "a"):      {Body: &pb.Event_Task{Task: task("a")}},
		bus.TrajectorySubject(id):                    trajectory(id, "a"),
		bus.FeedbackSubject("llm", id):               {Body: &pb.Event_Feedback{Feedback: &pb.Feedback{Identity: id}}},
		bus.VerdictSubject("llm", id):                {Body: &pb.Event_Verdict{Verdict: &pb.Verdict{Identity: id}}},
		bus.ResultSubject("shout", "r", 1, "a"):      {Body: &pb.Event_Result{Result: &pb.Result{Task: "a"}}},
		training("mixture"):                          {Body: &pb.Event_Mixture{Mixture: &pb.Mixture{Id: "m"}}},
		training("job"):                              {Id: "job.1", Body: &pb.Event_Job{Job: &pb.Job{Name: "j"}}},
		training("checkpoint"):                       {Body: &pb.Event_Checkpoint{Checkpoint: &pb.Checkpoint{Id: "c"}}},
		training("deployment"):                       {Body: &pb.Event_Deployment{Deployment: &pb.Deployment{Target: "own"}}},
		bus.EvalSubject("r", 1, "own", "report-1"):   {Body: &pb.Event_Report{Report: &pb.Report{Target: "own"}}},
		bus.EvalSubject("r", 1, "own", "decision-1"): {Body: &pb.Event_Decision{Decision: &pb.Decision{Target: "own"}}},
		bus.RunSubject("r", "entered"):               {Id: "entered.1", Body: &pb.Event_RunLog{RunLog: &pb.RunLog{What: "entered"}}},
		bus.DeadSubject("rollout", "r"):              {Id: "dead.1", Body: &pb.Event_DeadLetter{DeadLetter: &pb.DeadLetter{Kind: "rollout"}}},
	}
	for _, ev := range all {
		ev.Run, ev.Generation = "r", 1
	}
	return all
}

// TestFaultsOfPublishing: whichever event meets a fault, afterwards it is on the bus once, and its writer saw neither an
// error nor a conflict with itself.
func TestFaultsOfPublishing(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Pair {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			cfg := devstack.TestConfig(devstack.TestNATS(t))
			past := applied(t, cfg)
			var writing sync.WaitGroup
			for subject, ev := range published() {
				l := fault.NewLink(t, cfg.URL)
				cfg := cfg
				cfg.URL = l.URL()
				through, happened := devstack.TestConn(t, cfg), l.Arm(fault.Write{Subject: subject}, k)
				writing.Go(func() {
					ack, err := through.Publish(t.Context(), subject, ev)
					if err != nil || ack.Conflict || ack.Existing != (k == fault.ReplyLost) {
						t.Errorf("%s: %+v, %v", subject, ack, err)
					}
					expectFault(t, subject, happened)
				})
			}
			writing.Wait()
			counts := map[string]uint64{bus.Tasks: 1, bus.Trajectories: 1, bus.Feedback: 1, bus.Verdicts: 1, bus.Results: 1, bus.Training: 4, bus.Evals: 2, bus.Runs: 1, bus.Dead: 1}
			for stream, want := range counts {
				if n := messages(t, past, stream); n != want {
					t.Errorf("%s: %d messages, want %d", stream, n, want)
				}
			}
		})
	}
}

// TestFaultsOfWrites: whether a write was refused or done with its reply lost, afterwards it is there once, and the caller
// saw no error.
func TestFaultsOfWrites(t *testing.T) {
	t.Parallel()
	created, updated := "Last-Subject-Sequence: 0", "Last-Subject-Sequence: 1"
	for name, c := range map[string]struct {
		fault.Write
		write func(context.Context, *bus.Conn) error
		check func(*testing.T, *bus.Conn)
	}{
		"first step":      {fault.Write{Subject: bus.StepSubject(identity("pool-1"))}, appendThree, appendedThree},
		"second step":     {fault.Write{Subject: bus.StepSubject(identity("pool-1")), Skip: 1}, appendThree, appendedThree},
		"KV create":       {fault.Write{Subject: "$KV.runs.key", Contains: created}, updateOne, updatedOne},
		"KV update":       {fault.Write{Subject: "$KV.runs.key", Contains: updated}, updateOne, updatedOne},
		"KV delete":       {fault.Write{Subject: "$KV.runs.key", Contains: "KV-Operation: DEL"}, deleteOne, deletedOne},
		"purge":           {fault.Write{Subject: "$JS.API.STREAM.PURGE.TASKS"}, purgeTasks, doneAll},
		"make a stream":   {fault.Write{Subject: "$JS.API.STREAM.UPDATE.STEPS"}, applyAgain, noCheck},
		"make a consumer": {fault.Write{Subject: "$JS.API.CONSUMER.CREATE.TASKS.shout"}, addKind, addedKind},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inPairs(t, c.Write, func(t *testing.T, arm func(*fault.Link)) {
				l, through, past := faulty(t, devstack.TestConfig(devstack.TestNATS(t)))
				arm(l)
				if err := c.write(t.Context(), through); err != nil {
					t.Error(err)
				}
				c.check(t, past)
			})
		})
	}
}

func appendThree(ctx context.Context, conn *bus.Conn) error {
	journal, _, err := conn.OpenJournal(ctx, identity("pool-1"))
	for i := int32(0); err == nil && i < 3; i++ {
		err = journal.Append(ctx, step(i, fmt.Sprint(i)))
	}
	return err
}

func appendedThree(t *testing.T, conn *bus.Conn) {
	t.Helper()
	_, steps, err := conn.OpenJournal(t.Context(), identity("pool-1"))
	if err != nil || len(steps) != 3 {
		t.Fatalf("%d steps, %v; want 3", len(steps), err)
	}
	for i, s := range steps {
		if s.GetCandidates()[0].GetText() != fmt.Sprint(i) {
			t.Errorf("step %d is %v", i, s)
		}
	}
}

// updateOne leaves a key at its second revision, and knows it.
func updateOne(ctx context.Context, conn *bus.Conn) error {
	kv := conn.KV("runs")
	revision, err := kv.Create(ctx, "key", []byte("0"))
	if err != nil {
		return err
	}
	updated, err := kv.Update(ctx, "key", []byte("1"), revision)
	if err == nil && updated != revision+1 {
		return fmt.Errorf("revision %d after %d", updated, revision)
	}
	return err
}

func updatedOne(t *testing.T, conn *bus.Conn) {
	t.Helper()
	history, err := conn.KV("runs").History(t.Context(), "key")
	if err != nil || len(history) != 2 || string(history[1].Value) != "1" {
		t.Errorf("%v, %v; want two revisions", history, err)
	}
}

func deleteOne(ctx context.Context, conn *bus.Conn) error {
	if _, err := conn.KV("runs").Create(ctx, "key", []byte("0")); err != nil {
		return err
	}
	return conn.KV("runs").Delete(ctx, "key")
}

func deletedOne(t *testing.T, conn *bus.Conn) {
	t.Helper()
	if _, _, err := conn.KV("runs").Get(t.Context(), "key"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}

func purgeTasks(ctx context.Context, conn *bus.Conn) error {
	if err := conn.PublishTask(ctx, "r", 1, task("a")); err != nil {
		return err
	}
	return conn.Purge(ctx, bus.Tasks, bus.RunFilter(bus.Tasks, "r"))
}

func doneAll(t *testing.T, conn *bus.Conn) {
	t.Helper()
	d, err := conn.Depth(t.Context(), bus.TaskSource("rollout"))
	if err != nil || d.Waiting+d.InFlight != 0 {
		t.Errorf("%+v, %v; want an empty queue", d, err)
	}
}

func applyAgain(ctx context.Context, conn *bus.Conn) error {
	return conn.Apply(ctx, bus.NewTopology(devstack.TestConfig("")))
}

func noCheck(*testing.T, *bus.Conn) {}

func addKind(ctx context.Context, conn *bus.Conn) error { return conn.AddKind(ctx, "shout") }

func addedKind(t *testing.T, conn *bus.Conn) {
	t.Helper()
	if _, err := conn.Depth(t.Context(), bus.TaskSource("shout")); err != nil {
		t.Error(err)
	}
}

// TestFaultsOfSettling: whatever happens to what a worker says of a message, the message is settled in the end, its dead
// letter is one, and a handler is called again only where nobody can know that it need not be.
func TestFaultsOfSettling(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		fault.Write
		handle func(ctx context.Context, delivered int) error
		// most is how often the handler may be called at most.
		most, letters int
	}{
		"ack":         {fault.Write{Subject: "$JS.ACK.TASKS", Contains: "+ACK"}, func(context.Context, int) error { return nil }, 1, 0},
		"nak":         {fault.Write{Subject: "$JS.ACK.TASKS", Contains: "-NAK"}, failFirst(boom), 2, 0},
		"in progress": {fault.Write{Subject: "$JS.ACK.TASKS", Contains: "+WPI"}, longerThanALease, 1, 0},
		"dead letter": {fault.Write{Subject: bus.DeadSubject("rollout", "r")}, never(boom), 1, 1},
		"term":        {fault.Write{Subject: "$JS.ACK.TASKS", Contains: "+TERM"}, never(boom), 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inPairs(t, c.Write, func(t *testing.T, arm func(*fault.Link)) {
				cfg := devstack.TestConfig(devstack.TestNATS(t))
				cfg.AckWait = patientLease
				l, through, past := faulty(t, cfg)
				arm(l)
				if err := past.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
					t.Fatal(err)
				}
				var called atomic.Int64
				stop := consume(t, through, bus.Loop{Drain: time.Minute}, func(ctx context.Context, d *bus.Delivery) error {
					called.Add(1)
					return c.handle(ctx, d.Delivered)
				})
				settled(t, past)
				stop()
				if n := int(called.Load()); n > c.most {
					t.Errorf("handled %d times, want %d at most", n, c.most)
				}
				if n := len(dead(t, past)); n != c.letters {
					t.Errorf("%d dead letters, want %d", n, c.letters)
				}
			})
		})
	}
}

// patientLease outlasts a lost heartbeat and the reconnection after it.
const patientLease = 4 * time.Second

func longerThanALease(ctx context.Context, _ int) error {
	select {
	case <-ctx.Done():
	case <-time.After(patientLease * 3 / 2):
	}
	return nil
}

func failFirst(err error) func(context.Context, int) error {
	return func(_ context.Context, delivered int) error {
		if delivered == 1 {
			return err
		}
		return nil
	}
}

func never(err error) func(context.Context, int) error {
	return func(context.Context, int) error { return bus.Permanent(err) }
}

// TestFaultsOfClaims: a large result whose blob met a fault is there once, and whole, after its task came again.
func TestFaultsOfClaims(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Pair {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			blobs, err := blob.Open(t.Context(), config.Blob{URL: "file://" + t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			store, id := &fault.Store{Store: blobs}, identity("pool-1")
			conn, answer := busWith(t, bus.Options{Role: "test", Log: devstack.TestLog(t), Blobs: store}), strings.Repeat("long ", 100_000)
			if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
				t.Fatal(err)
			}
			happened := store.Arm("events/", 0, k)
			consume(t, conn, bus.Loop{}, func(ctx context.Context, _ *bus.Delivery) error {
				_, err := conn.Publish(ctx, bus.TrajectorySubject(id), trajectory(id, answer))
				return err
			})
			settled(t, conn)
			expectFault(t, "blob", happened)
			m, err := conn.Last(t.Context(), bus.Trajectories, bus.TrajectorySubject(id))
			if err != nil {
				t.Fatal(err)
			}
			if ev, err := m.Event(t.Context()); err != nil || ev.GetTrajectory().GetAnswer() != answer || len(dead(t, conn)) != 0 {
				t.Errorf("%v, %d dead letters; want the answer whole", err, len(dead(t, conn)))
			}
		})
	}
}

// TestFaultsOfSweeping: what the server gave up has one dead letter and is off the queue.
func TestFaultsOfSweeping(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]fault.Write{
		"dead letter":         {Subject: bus.DeadSubject("rollout", "r")},
		"delete the task":     {Subject: "$JS.API.STREAM.MSG.DELETE.TASKS"},
		"delete the advisory": {Subject: "$JS.API.STREAM.MSG.DELETE.ADVISORY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inPairs(t, w, func(t *testing.T, arm func(*fault.Link)) {
				cfg := devstack.TestConfig(devstack.TestNATS(t))
				cfg.MaxDeliver = 1
				l, through, past := faulty(t, cfg)
				if err := past.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
					t.Fatal(err)
				}
				past.Exhaust(t, bus.TaskSource("rollout"))
				arm(l)
				if err := through.SweepAdvisories(t.Context()); err != nil {
					t.Error(err)
				}
				if n := len(dead(t, past)); n != 1 || messages(t, past, bus.Tasks) != 0 || messages(t, past, bus.Advisory) != 0 {
					t.Errorf("%d dead letters, %d tasks, %d advisories; want 1, 0, 0", n, messages(t, past, bus.Tasks), messages(t, past, bus.Advisory))
				}
			})
		})
	}
}

// TestFaultsOfLeases: a leader leads on through a fault of its lease, in one term, and whoever comes next need not wait
// for longer than the lease.
func TestFaultsOfLeases(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault.Write
		lasts time.Duration
	}{
		"take":      {fault.Write{Subject: "$KV.leases.x"}, 0},
		"renew":     {fault.Write{Subject: "$KV.leases.x", Skip: 1}, patientLease},
		"give back": {fault.Write{Subject: "$KV.leases.x", Contains: "KV-Operation: DEL"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inPairs(t, c.Write, func(t *testing.T, arm func(*fault.Link)) {
				cfg := devstack.TestConfig(devstack.TestNATS(t))
				cfg.LeaseTTL = patientLease
				l, through, past := faulty(t, cfg)
				before := term(t, past, 0) // taken, given back
				arm(l)
				first := term(t, through, c.lasts)
				second := term(t, past, 0)
				if first != before+2 || second <= first {
					t.Errorf("fences %d and %d, want the first and a later one: one term each, nothing waited out", first, second)
				}
			})
		})
	}
}

// term leads once, for so long, and is the fence of that.
func term(t *testing.T, conn *bus.Conn, lasts time.Duration) (fence uint64) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	err := conn.Elect(ctx, "x", func(leading context.Context, f uint64) error {
		defer stop()
		fence = f
		select {
		case <-leading.Done():
			t.Errorf("stopped leading: %v", context.Cause(leading))
		case <-time.After(lasts):
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return fence
}
