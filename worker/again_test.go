package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// TestReplayOfALetterOfARanker: the trajectory that it gave up is handed to it again, once however often it is replayed,
// and to no other ranker; what fails again is a letter again, which can be replayed again.
func TestReplayOfALetterOfARanker(t *testing.T) {
	t.Parallel()
	ctx, conn := newKind(t)
	if err := errors.Join(conn.AddRanker(ctx, "mine"), conn.AddRanker(ctx, "other")); err != nil {
		t.Fatal(err)
	}
	publishTrajectory(ctx, t, conn, pb.Purpose_PURPOSE_GROW)
	var broken atomic.Bool
	broken.Store(true)
	handled := make(chan string, 16)
	follow := func(ranker string) {
		ended := make(chan error, 1)
		following, stop := context.WithCancel(ctx)
		go func() {
			ended <- worker.Follow(following, conn, worker.Feed{Ranker: ranker, Slots: 2}, func(_ context.Context, trajectory *pb.Trajectory, ev *pb.Event) error {
				if ev.GetRun() != "r" || trajectory.GetIdentity().GetQuestion() != "q-1" {
					t.Errorf("%v", ev)
				}
				handled <- ranker
				if ranker == "mine" && broken.Load() {
					return worker.Permanent(errors.New("no idea"))
				}
				return nil
			})
		}()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	follow("mine")
	first := nextLetter(ctx, t, conn, 1)
	follow("other")
	for range 2 { // each has had it
		<-handled
	}
	if err := conn.Replay(ctx, first.GetDeadLetter()); err != nil {
		t.Fatal(err)
	}
	second := nextLetter(ctx, t, conn, 2)
	if r := <-handled; r != "mine" {
		t.Errorf("handed to %s", r)
	}
	for _, letter := range []*pb.Event{first, second} {
		if l := letter.GetDeadLetter(); l.GetKind() != "rank-mine" || len(l.GetIdentities()) != 1 || bus.IDTokens(l.GetIdentities()[0]) != "r.1.own.grow.q-1.0" {
			t.Errorf("%v", l)
		}
	}
	broken.Store(false)
	if err := conn.Replay(ctx, second.GetDeadLetter()); err != nil {
		t.Fatal(err)
	}
	if r := <-handled; r != "mine" {
		t.Errorf("handed to %s", r)
	}
}

// nextLetter waits for the n-th dead letter.
func nextLetter(ctx context.Context, t *testing.T, conn *worker.Conn, n int) *pb.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var event *pb.Event
	err := conn.Follow(ctx, bus.Dead, bus.FollowOptions{}, func(m *bus.Message) (err error) {
		if n--; n == 0 {
			event, err = m.Event(ctx)
			cancel()
		}
		return err
	})
	if err != nil || event == nil {
		t.Fatalf("no dead letter: %v", err)
	}
	return event
}

// TestReplayIsOneTask while it is outstanding.
func TestReplayIsOneTask(t *testing.T) {
	t.Parallel()
	ctx, conn := newKind(t)
	if err := conn.AddJudge(ctx, "mine"); err != nil {
		t.Fatal(err)
	}
	id := &pb.Identity{Run: "r", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_EVAL, Question: "q-1"}
	for range 3 {
		if err := conn.Replay(ctx, &pb.DeadLetter{Kind: "judge-mine", Subject: bus.TrajectorySubject(id)}); err != nil {
			t.Fatal(err)
		}
	}
	tasks := 0
	for m, err := range conn.Browse(ctx, bus.Tasks, "ratchet.v1.task.judge-mine.r.1.>") {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := m.Event(ctx)
		if err != nil {
			t.Fatal(err)
		}
		again, err := bus.AgainOf(ev.GetTask())
		if err != nil || bus.IDTokens(again) != bus.IDTokens(id) {
			t.Errorf("%v, %v", again, err)
		}
		tasks++
	}
	if tasks != 1 {
		t.Errorf("%d tasks, want one", tasks)
	}
}
