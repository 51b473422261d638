package bus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// readerOf is the server on which a stream's only consumer lives that has no durable name.
func readerOf(t *testing.T, servers []*server.Server, stream string) *server.Server {
	t.Helper()
	for _, s := range servers {
		said, err := s.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true, Config: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range said.AccountDetails {
			for _, detail := range account.Streams {
				for _, c := range detail.Consumer {
					if detail.Name == stream && c.Config.Durable == "" && c.Cluster.Leader == s.Name() {
						return s
					}
				}
			}
		}
	}
	return nil
}

// clusterOfTrajectories is a cluster with n trajectories, and a connection to its first server alone.
func clusterOfTrajectories(t *testing.T, n int) ([]*server.Server, *bus.Conn) {
	t.Helper()
	servers, _ := cluster(t, "")
	cfg := devstack.TestConfig(servers[0].ClientURL())
	cfg.Replicas, cfg.MaxBytes = 3, 16<<20
	conn := devstack.TestConn(t, cfg)
	if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		publishTrajectory(t, conn, i)
	}
	return servers, conn
}

func publishTrajectory(t *testing.T, conn *bus.Conn, i int) {
	t.Helper()
	id := identity(fmt.Sprintf("pool-%d", i))
	if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a")); err != nil {
		t.Fatal(err)
	}
}

// TestReadOutlivesItsServer: the server that sends is killed, while the connection, to another one, lives.
func TestReadOutlivesItsServer(t *testing.T) {
	t.Parallel()
	const all = 300 // more than is sent ahead
	servers, conn := clusterOfTrajectories(t, all)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for killed := false; !killed; {
		seq := uint64(0)
		for m, err := range conn.Read(ctx, bus.Trajectories) {
			if err != nil {
				t.Fatal(err)
			}
			if seq++; m.Seq != seq {
				t.Fatalf("message %d, want %d", m.Seq, seq)
			}
			if host := readerOf(t, servers, bus.Trajectories); seq == 1 && host == servers[0] {
				break // it would be our connection's end too: another time
			} else if seq == 1 && host != nil {
				host.Shutdown()
				killed = true
			}
		}
		if killed && seq != all {
			t.Errorf("%d messages, want %d", seq, all)
		}
	}
}

// TestFollowOutlivesItsServer as well.
func TestFollowOutlivesItsServer(t *testing.T) {
	t.Parallel()
	servers, conn := clusterOfTrajectories(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for killed := false; !killed; {
		following, stop := context.WithCancel(ctx)
		seq := uint64(0)
		err := conn.Follow(following, bus.Trajectories, bus.FollowOptions{}, func(m *bus.Message) error {
			if seq++; m.Seq != seq {
				t.Errorf("message %d, want %d", m.Seq, seq)
			}
			host := readerOf(t, servers, bus.Trajectories)
			switch {
			case seq == 2, host == servers[0]:
				stop()
			case host != nil:
				host.Shutdown()
				killed = true
				publishTrajectory(t, conn, 1)
			}
			return nil
		})
		stop()
		if err != nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Fatalf("%v, %v after %d messages", err, ctx.Err(), seq)
		}
		if killed && seq != 2 {
			t.Errorf("%d messages, want 2", seq)
		}
	}
}

// TestReadOfAFew: what matches need not be at the end of the stream, nor be anything.
func TestReadOfAFew(t *testing.T) {
	t.Parallel()
	_, conn := clusterOfTrajectories(t, 10)
	for filter, want := range map[string]int{bus.TrajectorySubject(identity("pool-3")): 1, bus.TrajectorySubject(identity("pool-11")): 0, "ratchet.v1.trajectory.>": 10} {
		got := 0
		for _, err := range conn.Read(t.Context(), bus.Trajectories, filter) {
			if err != nil {
				t.Fatal(err)
			}
			got++
		}
		if got != want {
			t.Errorf("%d messages on %s, want %d", got, filter, want)
		}
	}
}

// TestLaggardStepsDown: a queue is handed from one server to another; one that waits for work, or has it, is left alone.
func TestLaggardStepsDown(t *testing.T) {
	t.Parallel()
	_, conn := clusterOfTrajectories(t, 3)
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	queue, laggards := bus.TaskSource("rollout"), bus.NewLaggards(conn)
	leader := conn.LedBy(t, queue)
	for range 3 {
		if err := laggards.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if now := conn.LedBy(t, queue); now != leader || leader == "" {
		t.Errorf("led by %q, then by %q, although nothing was wrong", leader, now)
	}
	conn.StepDown(t, queue)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for now := leader; now == leader || now == ""; <-tick.C {
		if now = conn.LedBy(t, queue); t.Context().Err() != nil {
			t.Fatal("still led by " + leader)
		}
	}
}
