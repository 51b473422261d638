package bus_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
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

// TestEveryRefusalIsSaidAtOnce, whatever is asked for, and other requests under way come to no harm.
func TestEveryRefusalIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	conn, id := g.as(t, bus.RoleRollout), identity("pool-1")
	refused := map[string]func(ctx context.Context) error{
		"publish": func(ctx context.Context) error {
			_, err := conn.Publish(ctx, bus.VerdictSubject("llm", id), trajectory(id, "a"))
			return err
		},
		"promote": func(ctx context.Context) error {
			_, err := conn.KV("models").Create(ctx, "promoted.r", []byte("{}"))
			return err
		},
		"list keys": func(ctx context.Context) error { _, err := conn.KV("runs").Keys(ctx); return err },
		"read":      func(ctx context.Context) error { return first(conn.Read(ctx, bus.Verdicts)) },
		"browse":    func(ctx context.Context) error { return first(conn.Browse(ctx, bus.Tasks, ">")) },
		"look":      func(ctx context.Context) error { _, err := conn.Last(ctx, bus.Evals, ">"); return err },
		"depth":     func(ctx context.Context) error { _, err := conn.Depth(ctx, bus.TaskSource("train")); return err },
		"streams":   func(ctx context.Context) error { _, err := conn.Streams(ctx); return err },
		"purge":     func(ctx context.Context) error { return conn.Purge(ctx, bus.Steps, ">") },
		"delete":    func(ctx context.Context) error { return conn.Delete(ctx, bus.Steps, 1) },
		"topology":  func(ctx context.Context) error { return conn.Apply(ctx, bus.NewTopology(g.cfg.Bus)) },
		"ask":       func(ctx context.Context) error { _, err := conn.Request(ctx, "submit", nil); return err },
		"elect": func(ctx context.Context) error {
			return conn.Elect(ctx, "coordinator", func(context.Context, uint64) error { return nil })
		},
		"follow": func(ctx context.Context) error {
			return conn.Follow(ctx, bus.Trajectories, bus.FollowOptions{}, func(*bus.Message) error { return nil })
		},
		"serve": func(ctx context.Context) error {
			return conn.Consume(ctx, bus.Loop{Source: bus.TaskSource("train")}, func(context.Context, *bus.Delivery) error { return nil })
		},
	}
	harmless, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // what is permitted goes on meanwhile
		defer close(done)
		for i := 0; harmless.Err() == nil; i++ {
			id := identity(fmt.Sprintf("busy-%d", i))
			if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a")); err != nil {
				t.Errorf("a permitted publish: %v", err)
			}
		}
	}()
	for name, do := range refused {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := do(ctx)
		cancel()
		if took := time.Since(began); !errors.Is(err, bus.ErrDenied) || took > 5*time.Second {
			t.Errorf("%s: %v after %s, want ErrDenied at once", name, err, took)
		}
	}
	stop()
	<-done
}

// TestAnothersKey: answers go to the inbox of the role, which its own key alone may hear.
func TestAnothersKey(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.cfg.Bus.NKeyFile = strings.Replace(g.cfg.Bus.NKeyFile, "{role}", bus.RoleObserver, 1)
	conn := g.as(t, bus.RoleOperator)
	for name, ask := range map[string]func(context.Context) error{
		"get":    func(ctx context.Context) error { _, _, err := conn.KV("runs").Get(ctx, "r.spec"); return err },
		"depth":  func(ctx context.Context) error { _, err := conn.Depth(ctx, bus.TaskSource("rollout")); return err },
		"browse": func(ctx context.Context) error { return first(conn.Browse(ctx, bus.Tasks, ">")) },
	} {
		began := time.Now()
		if err := ask(t.Context()); !errors.Is(err, bus.ErrDenied) || !strings.Contains(err.Error(), "_INBOX_ratchet") || time.Since(began) > 4*time.Second {
			t.Errorf("%s: %v after %s, want ErrDenied with the inbox, at once", name, err, time.Since(began))
		}
	}
}

// first is the error of the first message.
func first(messages iter.Seq2[*bus.Message, error]) error {
	for _, err := range messages {
		return err
	}
	return nil
}
