package bus_test

import (
	"context"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// TestFinishedTaskMayComeAgain: a task is alone on its subject only while it is outstanding.
func TestFinishedTaskMayComeAgain(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	done := make(chan struct{}, 2)
	consume(t, conn, bus.Loop{}, func(context.Context, *bus.Delivery) error { done <- struct{}{}; return nil })
	for i := range 2 {
		if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
			t.Fatal(err)
		}
		settled(t, conn)
		if n := len(done); n != i+1 {
			t.Errorf("done %d times, want %d", n, i+1)
		}
	}
}
