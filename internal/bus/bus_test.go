package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func TestResultsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	conn, id := devstack.TestBus(t), identity("pool-1")
	subject := bus.TrajectorySubject(id)
	for i, c := range []struct {
		answer             string
		existing, conflict bool
	}{{"a", false, false}, {"a", true, false}, {"b", true, true}} {
		ev := trajectory(id, c.answer)
		ev.Id = fmt.Sprint(i) // past the window of message ids, only the subject protects
		ack, err := conn.Publish(t.Context(), subject, ev)
		if err != nil || ack.Existing != c.existing || ack.Conflict != c.conflict {
			t.Fatalf("%d: %+v, %v", i, ack, err)
		}
	}
	m, err := conn.Last(t.Context(), bus.Trajectories, subject)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := m.Event(t.Context())
	if err != nil || ev.GetTrajectory().GetAnswer() != "a" {
		t.Fatalf("%v, %v: the first must stand", ev, err)
	}
	for header, want := range map[string]string{
		bus.HeaderOutcome: "completed", bus.HeaderKind: "trajectory", bus.HeaderRun: "r", bus.HeaderCalls: "3", bus.HeaderCompletionTokens: "7",
	} {
		if have := m.Get(header); have != want {
			t.Errorf("%s = %q, want %q", header, have, want)
		}
	}
}

// TestFactsAreWrittenOnce: on a stream that takes several messages on a subject too, an event named by its subject is
// there once, however long ago it was first published.
func TestFactsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	conn, subject := devstack.TestBus(t), bus.TrainingSubject("r", 1, "own", "checkpoint")
	checkpoint := func(id string) *pb.Event {
		return &pb.Event{Run: "r", Generation: 1, Body: &pb.Event_Checkpoint{Checkpoint: &pb.Checkpoint{Id: id, Target: "own", ElapsedMs: int64(len(id))}}}
	}
	first, err := proto.Marshal(checkpoint("a"))
	if err != nil {
		t.Fatal(err)
	}
	conn.PublishRaw(t, subject, first) // without an id: the server knows none any more
	for id, conflict := range map[string]bool{"a": false, "b": true} {
		if ack, err := conn.Publish(t.Context(), subject, checkpoint(id)); err != nil || !ack.Existing || ack.Conflict != conflict {
			t.Errorf("%s: %+v, %v", id, ack, err)
		}
	}
	if n := messages(t, conn, bus.Training); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestLargeEventsAreClaimed(t *testing.T) {
	t.Parallel()
	conn, id := devstack.TestBus(t), identity("pool-1")
	answer := strings.Repeat("long ", 200_000)
	if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, answer)); err != nil {
		t.Fatal(err)
	}
	m, err := conn.Last(t.Context(), bus.Trajectories, bus.TrajectorySubject(id))
	if err != nil || len(m.Data) > 1024 {
		t.Fatalf("%d bytes in the message, %v", len(m.Data), err)
	}
	ev, err := m.Event(t.Context())
	if err != nil || ev.GetTrajectory().GetAnswer() != answer {
		t.Fatalf("claim not resolved: %v", err)
	}
}

// TestTooLargeEventsAreRefused: what no reader would take is not written, and trying again is no use.
func TestTooLargeEventsAreRefused(t *testing.T) {
	t.Parallel()
	conn, id := devstack.TestBus(t), identity("pool-1")
	_, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, strings.Repeat("long ", 14<<20)))
	if !bus.IsPermanent(err) || !strings.Contains(err.Error(), "no reader takes more") {
		t.Errorf("an event of 70 MiB: %v, want it refused for good", err)
	}
	if _, err := conn.Last(t.Context(), bus.Trajectories, bus.TrajectorySubject(id)); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("there is a message all the same: %v", err)
	}
}

// TestStaleWorkerIsFenced: two workers on one trajectory; the one that comes second cannot go on.
func TestStaleWorkerIsFenced(t *testing.T) {
	t.Parallel()
	conn, id := devstack.TestBus(t), identity("pool-1")
	stale, none, err := conn.OpenJournal(t.Context(), id)
	if err != nil || len(none) != 0 {
		t.Fatalf("%v, %v", none, err)
	}
	if err := stale.Append(t.Context(), step(0, "zero")); err != nil {
		t.Fatal(err)
	}
	fresh, steps, err := conn.OpenJournal(t.Context(), id)
	if err != nil || len(steps) != 1 || steps[0].GetCandidates()[0].GetText() != "zero" {
		t.Fatalf("%v, %v", steps, err)
	}
	if err := fresh.Append(t.Context(), step(1, "fresh")); err != nil {
		t.Fatal(err)
	}
	if err := stale.Append(t.Context(), step(1, "stale")); !errors.Is(err, bus.ErrFenced) {
		t.Fatalf("%v, want ErrFenced", err)
	}
	if err := fresh.Append(t.Context(), step(2, "two")); err != nil {
		t.Fatal(err)
	}
}

// TestTwinIsFenced: two workers on one trajectory append the same, where the model answers the same. Only the first of
// them goes on, else both would pay for every call that is left.
func TestTwinIsFenced(t *testing.T) {
	t.Parallel()
	conn, id := devstack.TestBus(t), identity("pool-1")
	first, _, err := conn.OpenJournal(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	twin, _, err := conn.OpenJournal(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Append(t.Context(), step(0, "zero")); err != nil {
		t.Fatal(err)
	}
	if err := twin.Append(t.Context(), step(0, "zero")); !errors.Is(err, bus.ErrFenced) {
		t.Errorf("%v, want ErrFenced", err)
	}
	if err := first.Append(t.Context(), step(1, "one")); err != nil {
		t.Error(err)
	}
}

// TestSleeperIsFenced: a worker sleeps, from before its first append until the trajectory is finished and its journal
// purged. What it finds looks like a new journal.
func TestSleeperIsFenced(t *testing.T) {
	t.Parallel()
	conn, id := devstack.TestBus(t), identity("pool-1")
	sleeper, _, err := conn.OpenJournal(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := conn.OpenJournal(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Append(t.Context(), step(0, "zero")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a")); err != nil {
		t.Fatal(err)
	}
	if err := conn.Purge(t.Context(), bus.Steps, bus.RunFilter(bus.Steps, id.GetRun())); err != nil {
		t.Fatal(err)
	}
	<-time.After(devstack.TestAckWait) // the lease
	if err := sleeper.Append(t.Context(), step(0, "zero")); !errors.Is(err, bus.ErrFenced) {
		t.Errorf("%v, want ErrFenced", err)
	}
}

func TestOutcomesOfAHandler(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		handle func(delivered int) error
		// deliveries until it is settled, and whether it ends as a dead letter
		deliveries int
		dead       string
	}{
		"done":      {func(int) error { return nil }, 1, ""},
		"retried":   {func(n int) error { return map[bool]error{true: boom}[n < 2] }, 2, ""},
		"later":     {later(bus.Later(time.Millisecond, boom), 3), 4, ""},
		"outage":    {later(fmt.Errorf("read: %w", away(true)), 1), 2, ""},
		"permanent": {func(int) error { return bus.Permanent(bus.WithClass(pb.FailureClass_FAILURE_CLASS_SEARCH, boom)) }, 1, "boom"},
		"exhausted": {func(int) error { return boom }, 2, "boom"},
		"panics":    {func(int) error { panic("at the disco") }, 2, "at the disco"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := devstack.TestBus(t)
			if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
				t.Fatal(err)
			}
			var deliveries atomic.Int64
			maxDeliver := 3
			if c.dead != "" {
				maxDeliver = 2
			}
			consume(t, conn, bus.Loop{MaxDeliver: maxDeliver}, func(_ context.Context, d *bus.Delivery) error {
				deliveries.Add(1)
				return c.handle(d.Delivered)
			})
			settled(t, conn)
			if n := int(deliveries.Load()); n != c.deliveries {
				t.Errorf("%d deliveries, want %d", n, c.deliveries)
			}
			letters := dead(t, conn)
			if (c.dead != "") != (len(letters) == 1) {
				t.Fatalf("%d dead letters", len(letters))
			}
			if c.dead == "" {
				return
			}
			letter := letters[0]
			if !strings.Contains(letter.GetError(), c.dead) || len(letter.GetIdentities()) != 4 || letter.GetKind() != "rollout" {
				t.Errorf("%v", letter)
			}
			if err := conn.Replay(t.Context(), letter); err != nil {
				t.Errorf("replay: %v", err)
			}
		})
	}
}

// later is a handler that puts off some times: three would be a dead letter if it counted.
func later(err error, times int64) func(int) error {
	var calls atomic.Int64
	return func(delivered int) error {
		if delivered != 1 {
			return errors.New("putting off counted as a delivery")
		}
		if calls.Add(1) <= times {
			return err
		}
		return nil
	}
}

// TestNothingIsHoarded: a worker holds no more messages than it has slots.
func TestNothingIsHoarded(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	for i := range 20 {
		if err := conn.PublishTask(t.Context(), "r", 1, task(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	begun, release := make(chan struct{}, 20), make(chan struct{})
	consume(t, conn, bus.Loop{Slots: 3}, func(ctx context.Context, _ *bus.Delivery) error {
		begun <- struct{}{}
		<-release
		return nil
	})
	for range 3 {
		<-begun
	}
	if d, err := conn.Depth(t.Context(), bus.TaskSource("rollout")); err != nil || d.InFlight != 3 {
		t.Errorf("%+v in flight with 3 slots, %v", d, err)
	}
	close(release)
	settled(t, conn)
}

// TestWorkLongerThanTheLease is kept by heartbeats: it is delivered once.
func TestWorkLongerThanTheLease(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	var deliveries atomic.Int64
	consume(t, conn, bus.Loop{Slots: 2}, func(ctx context.Context, _ *bus.Delivery) error {
		deliveries.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(2 * devstack.TestAckWait):
		}
		return nil
	})
	settled(t, conn)
	if n := deliveries.Load(); n != 1 {
		t.Errorf("%d deliveries, want 1", n)
	}
}

// TestDrain: work in flight goes on for the drain time, then it is handed back at once, not after the lease.
func TestDrain(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	stop := consume(t, conn, bus.Loop{Drain: 10 * time.Millisecond}, func(ctx context.Context, _ *bus.Delivery) error {
		close(begun)
		<-ctx.Done()
		return context.Cause(ctx)
	})
	<-begun
	stop()
	again := make(chan struct{})
	consume(t, conn, bus.Loop{}, func(context.Context, *bus.Delivery) error {
		close(again)
		return nil
	})
	select {
	case <-again:
	case <-time.After(devstack.TestAckWait / 2):
		t.Error("not handed back")
	}
}

func TestUndecodableIsDeadNotFatal(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	conn.PublishRaw(t, bus.TaskSubject("rollout", "r", 1, "bad"), []byte("\xff\xff not protobuf"))
	if err := conn.PublishTask(t.Context(), "r", 1, task("good")); err != nil {
		t.Fatal(err)
	}
	good := make(chan struct{})
	consume(t, conn, bus.Loop{}, func(context.Context, *bus.Delivery) error {
		close(good)
		return nil
	})
	<-good
	settled(t, conn)
	if letters := dead(t, conn); len(letters) != 1 || letters[0].GetFailure() != pb.FailureClass_FAILURE_CLASS_INVALID {
		t.Errorf("%v", letters)
	}
}

func TestKV(t *testing.T) {
	t.Parallel()
	kv := devstack.TestBus(t).KV("runs")
	if _, _, err := kv.Get(t.Context(), "none"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	revision, err := kv.Create(t.Context(), "a", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Create(t.Context(), "a", []byte("1")); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("%v, want ErrConflict", err)
	}
	if _, err := kv.Update(t.Context(), "a", []byte("2"), revision); err != nil {
		t.Error(err)
	}
	if _, err := kv.Update(t.Context(), "a", []byte("3"), revision); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("%v, want ErrConflict", err)
	}
	if keys, err := kv.Keys(t.Context()); err != nil || len(keys) != 1 || keys[0] != "a" {
		t.Errorf("%v, %v", keys, err)
	}
}

// TestElection: one leads, the other takes over when it ends, with a higher fence.
func TestElection(t *testing.T) {
	t.Parallel()
	cfg := devstack.TestConfig(devstack.TestNATS(t))
	one, two := applied(t, cfg), devstack.TestConn(t, cfg)
	fences := make(chan uint64)
	lead := func(ctx context.Context, fence uint64) error {
		select {
		case fences <- fence:
		case <-ctx.Done():
		}
		<-ctx.Done()
		return nil
	}
	first, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- one.Elect(first, "x", lead) }()
	before := <-fences
	second, stopSecond := context.WithCancel(t.Context())
	go func() { ended <- two.Elect(second, "x", lead) }()
	stop()
	if after := <-fences; after <= before {
		t.Errorf("fence %d after %d", after, before)
	}
	stopSecond()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestFollowAndRead(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	for i := range 5 {
		id := identity(fmt.Sprintf("pool-%d", i))
		if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a")); err != nil {
			t.Fatal(err)
		}
	}
	count := 0
	for m, err := range conn.Read(t.Context(), bus.Trajectories, bus.RunFilter(bus.Trajectories, "r")) {
		if err != nil {
			t.Fatal(err)
		}
		if ev, err := m.Event(t.Context()); err != nil || ev.GetTrajectory() == nil {
			t.Fatal(err)
		}
		count++
	}
	for range conn.Read(t.Context(), bus.Trajectories, bus.RunFilter(bus.Trajectories, "other")) {
		t.Error("another run's message")
	}
	enough := errors.New("enough")
	err := conn.Follow(t.Context(), bus.Trajectories, bus.FollowOptions{Filters: []string{bus.RunFilter(bus.Trajectories, "r")}, HeadersOnly: true}, func(m *bus.Message) error {
		if count++; len(m.Data) != 0 {
			t.Errorf("%d bytes with headers only", len(m.Data))
		}
		if m.Pending == 0 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || count != 10 {
		t.Errorf("%d messages, %v", count, err)
	}
	for range conn.Read(t.Context(), bus.Trajectories, bus.RunFilter(bus.Trajectories, "r")) {
		break
	}
	ctx, stop := context.WithCancel(t.Context())
	err = conn.Follow(ctx, bus.Trajectories, bus.FollowOptions{}, func(*bus.Message) error { stop(); return nil })
	if err != nil {
		t.Error(err)
	}
	if left := conn.Consumers(t, bus.Trajectories); left > 0 {
		t.Errorf("readers left %d consumers; a stream takes 1,000", left)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	if _, err := conn.Request(t.Context(), "double", nil); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("%v, want ErrNobody", err)
	}
	serving, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- conn.Serve(serving, "test", "1.0.0", map[string]func(context.Context, []byte) ([]byte, error){
			"double": func(_ context.Context, in []byte) ([]byte, error) {
				if len(in) == 0 {
					return nil, errors.New("nothing to double")
				}
				return append(in, in...), nil
			},
		})
	}()
	var out []byte
	for err := error(bus.ErrNobody); errors.Is(err, bus.ErrNobody); {
		out, err = conn.Request(t.Context(), "double", []byte("ab"))
	}
	if string(out) != "abab" {
		t.Errorf("%q", out)
	}
	var refused *bus.RequestError
	if _, err := conn.Request(t.Context(), "double", nil); !errors.As(err, &refused) || refused.Text != "nothing to double" {
		t.Errorf("%v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
