package worker_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

const patience = time.Minute

// newKind is a bus that knows the kind shout and has tasks with these ids for it.
func newKind(t *testing.T, ids ...string) (context.Context, *worker.Conn) {
	t.Helper()
	conn := devstack.TestBus(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	if err := conn.AddKind(ctx, "shout"); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		task := &pb.Task{Id: id, Kind: "shout", Work: &pb.Task_Args{Args: &structpb.Struct{}}}
		if err := conn.PublishTask(ctx, "r", 3, task); err != nil {
			t.Fatal(err)
		}
	}
	return ctx, conn
}

// firstMessage waits for the first message of a stream.
func firstMessage(ctx context.Context, t *testing.T, conn *worker.Conn, stream string) *pb.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var event *pb.Event
	err := conn.Follow(ctx, stream, bus.FollowOptions{}, func(m *bus.Message) (err error) {
		event, err = m.Event(ctx)
		cancel()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if event == nil {
		t.Fatalf("nothing in %s within %s", stream, patience)
	}
	return event
}

// serve serves in the background until the test ends, and then wants no error.
func serve(ctx context.Context, t *testing.T, conn *worker.Conn, k worker.Kind) {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- worker.Serve(ctx, conn, k) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, *worker.Task) error { return nil }
	for name, k := range map[string]worker.Kind{
		"no name":      {Handle: nothing},
		"no handler":   {Name: "shout"},
		"upper case":   {Name: "Shout", Handle: nothing},
		"two tokens":   {Name: "shout.loud", Handle: nothing},
		"a wildcard":   {Name: "*", Handle: nothing},
		"white space":  {Name: "shout loud", Handle: nothing},
		"not in ASCII": {Name: "schräg", Handle: nothing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := worker.Serve(t.Context(), nil, k); err == nil || !strings.Contains(err.Error(), "want a handler and a name") {
				t.Errorf("got %v, want an error that says what a name is", err)
			}
		})
	}
}

func TestServeRefusesSecondRegistration(t *testing.T) {
	t.Parallel()
	ctx, conn := newKind(t, "a")
	begun := make(chan struct{})
	k := worker.Kind{Name: "shout", Handle: func(context.Context, *worker.Task) error { close(begun); return nil }}
	serve(ctx, t, conn, k)
	<-begun
	if err := worker.Serve(ctx, conn, k); err == nil || !strings.Contains(err.Error(), "served twice") {
		t.Errorf("got %v, want an error about the second registration", err)
	}
}

func TestServeMayFollowServe(t *testing.T) {
	t.Parallel()
	ctx, conn := newKind(t)
	ctx, stop := context.WithCancel(ctx)
	stop()
	for range 2 {
		err := worker.Serve(ctx, conn, worker.Kind{Name: "shout", Handle: func(context.Context, *worker.Task) error { return nil }})
		if err != nil {
			t.Errorf("serve: %v", err)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		handle     func(delivered, calls int) error
		dead       bool
		deliveries int64
		calls      int64
	}{
		"nil is done":                     {handle: func(int, int) error { return nil }, deliveries: 1, calls: 1},
		"permanent is dead at once":       {handle: func(int, int) error { return worker.Permanent(broken) }, dead: true, deliveries: 1, calls: 1},
		"later counts no delivery":        {handle: later(broken), deliveries: 1, calls: 4},
		"another is tried again":          {handle: until(2, broken), deliveries: 2, calls: 2},
		"another is dead after some time": {handle: func(int, int) error { return broken }, dead: true, deliveries: 2, calls: 2},
		"a panic is such an error":        {handle: func(int, int) error { panic("at the disco") }, dead: true, deliveries: 2, calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, conn := newKind(t, "a")
			var calls, delivered atomic.Int64
			serve(ctx, t, conn, worker.Kind{Name: "shout", MaxDeliver: 2, Handle: func(ctx context.Context, task *worker.Task) error {
				delivered.Store(int64(task.Delivered))
				if err := tt.handle(task.Delivered, int(calls.Add(1))); err != nil {
					return err
				}
				return task.Result(ctx, map[string]any{"done": true})
			}})
			stream := bus.Results
			if tt.dead {
				stream = bus.Dead
			}
			event := firstMessage(ctx, t, conn, stream)
			if calls.Load() != tt.calls || delivered.Load() != tt.deliveries {
				t.Errorf("got %d calls in %d deliveries, want %d in %d", calls.Load(), delivered.Load(), tt.calls, tt.deliveries)
			}
			if letter := event.GetDeadLetter(); tt.dead && (letter.GetKind() != "shout" || int64(letter.GetAttempts()) != tt.deliveries || letter.GetError() == "") {
				t.Errorf("dead letter: got %v", letter)
			}
		})
	}
}

// later asks for three calls more than one.
func later(err error) func(int, int) error {
	return func(_, calls int) error {
		if calls < 4 {
			return worker.Later(time.Millisecond, err)
		}
		return nil
	}
}

func until(delivery int, err error) func(int, int) error {
	return func(delivered, _ int) error {
		if delivered < delivery {
			return err
		}
		return nil
	}
}

func TestStopEndsServe(t *testing.T) {
	t.Parallel()
	ctx, conn := newKind(t, "a")
	broken := errors.New("the disk is gone")
	err := worker.Serve(ctx, conn, worker.Kind{Name: "shout", Handle: func(context.Context, *worker.Task) error { return worker.Stop(broken) }})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestResultIsWrittenOnce(t *testing.T) {
	t.Parallel()
	ctx, conn := newKind(t, "a")
	done := make(chan error, 1)
	serve(ctx, t, conn, worker.Kind{Name: "shout", Handle: func(ctx context.Context, task *worker.Task) error {
		done <- errors.Join(task.Result(ctx, map[string]any{"n": 1}), task.Result(ctx, map[string]any{"n": 1}), task.Result(ctx, map[string]any{"n": 2}))
		return nil
	}})
	if err := <-done; err != nil {
		t.Fatalf("result: %v", err)
	}
	count := 0
	for m, err := range conn.Read(ctx, bus.Results) {
		if err != nil {
			t.Fatal(err)
		}
		event, err := m.Event(ctx)
		if err != nil {
			t.Fatal(err)
		}
		count++
		if event.GetRun() != "r" || event.GetGeneration() != 3 || event.GetResult().GetTask() != "a" || event.GetResult().GetKind() != "shout" {
			t.Errorf("got %v, want the result of task a of run r, generation 3", event)
		}
		if n := event.GetResult().GetValue().GetFields()["n"].GetNumberValue(); n != 1 {
			t.Errorf("n: got %v, want the first, 1", n)
		}
	}
	if count != 1 {
		t.Errorf("got %d results, want 1", count)
	}
}

func TestResultThatIsNoJSONIsPermanent(t *testing.T) {
	t.Parallel()
	task := &worker.Task{Task: &pb.Task{Id: "a"}}
	if err := task.Result(t.Context(), map[string]any{"c": make(chan int)}); !bus.IsPermanent(err) {
		t.Errorf("got %v, want a permanent error", err)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		feed worker.Feed
		want pb.Purpose
	}{
		"a ranker follows grown trajectories": {worker.Feed{Ranker: "mine"}, pb.Purpose_PURPOSE_GROW},
		"a judge follows an evaluation's":     {worker.Feed{Judge: "mine"}, pb.Purpose_PURPOSE_EVAL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, conn := newKind(t)
			if err := errors.Join(conn.AddRanker(ctx, "mine"), conn.AddJudge(ctx, "mine")); err != nil {
				t.Fatal(err)
			}
			for _, purpose := range []pb.Purpose{pb.Purpose_PURPOSE_GROW, pb.Purpose_PURPOSE_EVAL} {
				publishTrajectory(ctx, t, conn, purpose)
			}
			ctx, stop := context.WithCancel(ctx)
			seen := make(chan pb.Purpose, 2)
			err := worker.Follow(ctx, conn, tt.feed, func(_ context.Context, trajectory *pb.Trajectory, ev *pb.Event) error {
				if ev.GetRun() != "r" {
					t.Errorf("run: got %q, want r", ev.GetRun())
				}
				seen <- trajectory.GetIdentity().GetPurpose()
				stop()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := <-seen; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func publishTrajectory(ctx context.Context, t *testing.T, conn *worker.Conn, purpose pb.Purpose) {
	t.Helper()
	id := &pb.Identity{Run: "r", Generation: 1, Target: "own", Purpose: purpose, Question: "q-1"}
	_, err := conn.Publish(ctx, bus.TrajectorySubject(id), &pb.Event{Run: "r", Generation: 1, Body: &pb.Event_Trajectory{
		Trajectory: &pb.Trajectory{Identity: id, Outcome: pb.Outcome_OUTCOME_COMPLETED},
	}})
	if err != nil {
		t.Fatal(err)
	}
}
