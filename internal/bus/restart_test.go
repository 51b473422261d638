package bus_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// TestRestart: a worker and a follower outlive a restart of the server, and miss nothing.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := devstack.StartNATS(dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := devstack.TestConfig(server.URL())
	conn := applied(t, cfg)
	done, seen := make(chan string, 8), make(chan string, 8)
	consume(t, conn, bus.Loop{}, func(_ context.Context, d *bus.Delivery) error {
		done <- d.Event.GetTask().GetId()
		return nil
	})
	following, stop := context.WithCancel(t.Context())
	var followed sync.WaitGroup
	followed.Go(func() {
		o := bus.FollowOptions{Filters: []string{bus.RunFilter(bus.Trajectories, "r")}}
		if err := conn.Follow(following, bus.Trajectories, o, func(m *bus.Message) error { seen <- m.Subject; return nil }); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); followed.Wait() })
	for _, name := range []string{"before", "after"} {
		id := identity("pool-" + name)
		if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a")); err != nil {
			t.Fatal(err)
		}
		if err := conn.PublishTask(t.Context(), "r", 1, task(name)); err != nil {
			t.Fatal(err)
		}
		expect(t, done, name)
		expect(t, seen, bus.TrajectorySubject(id))
		if name == "before" {
			server.Stop()
			if server, err = devstack.StartNATS(dir, strings.TrimPrefix(cfg.URL, "nats://")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Stop)
		}
	}
}

// expect takes one value, in a time that allows for a server's start and missed heartbeats.
func expect(t *testing.T, from <-chan string, want string) {
	t.Helper()
	select {
	case have := <-from:
		if have != want {
			t.Fatalf("%s, want %s", have, want)
		}
	case <-time.After(40 * time.Second):
		t.Fatalf("%s never came", want)
	}
}
