package bus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestKillerTakesNobodyWithIt: of four messages that one worker always has together, one kills it, before the others are
// done. It alone is given up in the end.
func TestKillerTakesNobodyWithIt(t *testing.T) {
	t.Parallel()
	cfg := devstack.TestConfig(devstack.TestNATS(t))
	cfg.AckWait = 300 * time.Millisecond
	conn := devstack.TestConn(t, cfg)
	if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := conn.PublishTask(t.Context(), "r", 1, task(fmt.Sprint("t", i))); err != nil {
			t.Fatal(err)
		}
	}
	done, deaths := sync.Map{}, 0
	for len(dead(t, conn)) == 0 {
		if mortal(t, cfg, func(ctx context.Context, id string) (dies bool) {
			if id == "t2" {
				return true
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
				done.Store(id, true)
			}
			return false
		}, func() bool { return len(dead(t, conn)) > 0 }) {
			deaths++
		}
		if deaths > 20 {
			t.Fatal("it goes on killing")
		}
	}
	settled(t, conn)
	letters := dead(t, conn)
	if len(letters) != 1 || letters[0].GetSubject() != bus.TaskSubject("rollout", "r", 1, "t2") ||
		letters[0].GetFailure() != pb.FailureClass_FAILURE_CLASS_WORKER_KILLED {
		t.Errorf("%v", letters)
	}
	for _, id := range []string{"t0", "t1", "t3"} {
		if _, ok := done.Load(id); !ok {
			t.Errorf("%s was never done", id)
		}
	}
	if deaths != cfg.MaxDeliver {
		t.Errorf("%d workers died, want %d", deaths, cfg.MaxDeliver)
	}
}

// mortal is a worker of four slots that lives until a handler says it dies, or until is true.
func mortal(t *testing.T, cfg config.Bus, handle func(context.Context, string) bool, until func() bool) (died bool) {
	t.Helper()
	conn, err := bus.Connect(t.Context(), cfg, bus.Options{Role: "mortal", Log: devstack.TestLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Abort()
	ctx, stop := context.WithCancel(t.Context())
	struck, ended := make(chan struct{}, 4), make(chan error, 1)
	go func() {
		ended <- conn.Consume(ctx, bus.Loop{Source: bus.TaskSource("rollout"), Slots: 4}, func(ctx context.Context, d *bus.Delivery) error {
			if handle(ctx, d.Event.GetTask().GetId()) {
				struck <- struct{}{}
				<-ctx.Done()
			}
			return ctx.Err()
		})
	}()
	defer func() { stop(); <-ended }()
	for !until() {
		select {
		case <-struck:
			conn.Abort()
			return true
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}
