package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// guardedBus is a server with two users: one may do everything, the other may not publish feedback.
func guardedBus(t *testing.T) (all, rollout config.Bus) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		Users: []*server.User{
			{Username: "all", Password: "all"},
			{Username: "rollout", Password: "rollout", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Deny: []string{"ratchet.v1.feedback.>", "$JS.API.CONSUMER.INFO.TASKS.train"}},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("server not ready")
	}
	as := func(user string) config.Bus {
		return devstack.TestConfig(strings.Replace(s.ClientURL(), "nats://", "nats://"+user+":"+user+"@", 1))
	}
	return as("all"), as("rollout")
}

func TestWhatIsNotPermittedIsSaid(t *testing.T) {
	t.Parallel()
	all, rollout := guardedBus(t)
	if err := devstack.TestConn(t, all).Apply(t.Context(), bus.NewTopology(all)); err != nil {
		t.Fatal(err)
	}
	conn, id := devstack.TestConn(t, rollout), identity("pool-1")
	if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a")); err != nil {
		t.Error(err)
	}
	began, subject := time.Now(), bus.FeedbackSubject("llm", id)
	_, err := conn.Publish(t.Context(), subject, trajectory(id, "a"))
	if !errors.Is(err, bus.ErrDenied) || !strings.Contains(err.Error(), subject) {
		t.Errorf("%v, want ErrDenied with the subject", err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s: the publish waited for its timeout", took)
	}
}

// TestWhatIsNotPermittedExplainsSilence: requests of NATS's own API see no more than a timeout.
func TestWhatIsNotPermittedExplainsSilence(t *testing.T) {
	t.Parallel()
	all, rollout := guardedBus(t)
	if err := devstack.TestConn(t, all).Apply(t.Context(), bus.NewTopology(all)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := devstack.TestConn(t, rollout).Depth(ctx, bus.TaskSource("train"))
	if !errors.Is(err, bus.ErrDenied) || !strings.Contains(err.Error(), "$JS.API.CONSUMER.INFO.TASKS.train") {
		t.Errorf("%v, want ErrDenied with the subject", err)
	}
}

func TestWrongCredentialsAreSaidAtOnce(t *testing.T) {
	t.Parallel()
	all, _ := guardedBus(t)
	all.URL = strings.Replace(all.URL, "all:all", "all:wrong", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := bus.Connect(ctx, all, bus.Options{Role: "test"})
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorization") || ctx.Err() != nil {
		t.Errorf("%v (%v), want that the server refused the credentials", err, ctx.Err())
	}
}
