package bus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestSweepAfterStrangers: what a worker that knows no dead letters lets run out or terminates is in the dead letters all
// the same, once; what one of ours gave up is there once too.
func TestSweepAfterStrangers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind string // task or trajectory
		do   func(jetstream.Msg) error
		// what the letter must say
		class      pb.FailureClass
		text       string
		identities int
	}{
		"a task runs out":            {"task", devstack.LetRunOut, pb.FailureClass_FAILURE_CLASS_WORKER_KILLED, "never acknowledged", 4},
		"a task is terminated":       {"task", devstack.Terminate, pb.FailureClass_FAILURE_CLASS_OTHER, `"I do not like it"`, 0},
		"a trajectory runs out":      {"trajectory", devstack.LetRunOut, pb.FailureClass_FAILURE_CLASS_WORKER_KILLED, "never acknowledged", 1},
		"a trajectory is terminated": {"trajectory", devstack.Terminate, pb.FailureClass_FAILURE_CLASS_OTHER, `"I do not like it"`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := devstack.TestConfig(devstack.TestNATS(t))
			cfg.MaxDeliver, cfg.AckWait = 1, 100*time.Millisecond
			conn := devstack.TestConn(t, cfg)
			if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
				t.Fatal(err)
			}
			if err := conn.AddRanker(t.Context(), "mine"); err != nil {
				t.Fatal(err)
			}
			stream, consumer, deliveries := bus.Tasks, "rollout", 9
			if c.class == pb.FailureClass_FAILURE_CLASS_OTHER {
				deliveries = 1
			}
			if c.kind == "task" {
				if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
					t.Fatal(err)
				}
			} else {
				stream, consumer = bus.Trajectories, "rank-mine"
				id := identity("pool-1")
				if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a")); err != nil {
					t.Fatal(err)
				}
			}
			devstack.TestStranger(t, cfg.URL).Take(t, stream, consumer, deliveries, c.do)
			letters := swept(t, conn, consumer)
			if len(letters) != 1 || letters[0].GetFailure() != c.class || !strings.Contains(letters[0].GetError(), c.text) ||
				len(letters[0].GetIdentities()) != c.identities || int(letters[0].GetAttempts()) != deliveries {
				t.Errorf("%v", letters)
			}
			if again := swept(t, conn, consumer); len(again) > 1 {
				t.Errorf("swept twice: %v", again)
			}
			if c.kind == "task" {
				settled(t, conn)
			}
		})
	}
}

// swept is a consumer's letters after a sweep; the server's note may come a moment late.
func swept(t *testing.T, conn *bus.Conn, consumer string) (letters []*pb.DeadLetter) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); len(letters) == 0 && time.Now().Before(deadline); {
		if err := conn.SweepAdvisories(t.Context()); err != nil {
			t.Fatal(err)
		}
		letters = deadOf(t, conn, "ratchet.v1.dead."+consumer+".>")
	}
	return letters
}
