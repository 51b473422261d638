package devstack_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestRestartKeepsEverything: what was acknowledged is there after a restart, and the topology fits what it finds.
func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for start := range 3 {
		server, err := devstack.StartNATS(dir, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		cfg := devstack.TestConfig(server.URL())
		conn := devstack.TestConn(t, cfg)
		if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
			t.Fatal(err)
		}
		_, revision, err := conn.KV("runs").Get(t.Context(), "r.state")
		if (err == nil) != (start > 0) || revision != uint64(start) {
			t.Errorf("start %d: revision %d, %v", start, revision, err)
		}
		if start == 0 {
			_, err = conn.KV("runs").Create(t.Context(), "r.state", []byte("0"))
		} else {
			_, err = conn.KV("runs").Update(t.Context(), "r.state", []byte("1"), revision)
		}
		if err != nil {
			t.Error(err)
		}
		ack, err := conn.Publish(t.Context(), bus.RunSubject("r", "entered"), &pb.Event{Run: "r", Body: &pb.Event_RunLog{RunLog: &pb.RunLog{}}})
		if err != nil || ack.Seq != 1 || ack.Existing != (start > 0) {
			t.Errorf("start %d: %+v, %v", start, ack, err)
		}
		conn.Close()
		server.Stop()
	}
}

// TestUsersFindTheStore: streams that were made while nobody had a key are there for those who have one.
func TestUsersFindTheStore(t *testing.T) {
	t.Parallel()
	dir, users := t.TempDir(), t.TempDir()
	if _, err := bus.WriteUsers(users, config.Default()); err != nil {
		t.Fatal(err)
	}
	open, err := devstack.StartNATS(dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := devstack.TestConfig(open.URL())
	conn := devstack.TestConn(t, cfg)
	if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.KV("runs").Create(t.Context(), "r.spec", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	open.Stop()
	for start := range 2 {
		guarded, err := devstack.StartGuarded(dir, "127.0.0.1:0", filepath.Join(users, bus.UsersFile))
		if err != nil {
			t.Fatal(err)
		}
		cfg.URL, cfg.NKeyFile = guarded.URL(), bus.SeedFile(users, "{role}")
		worker, err := bus.Connect(t.Context(), cfg, bus.Options{Role: bus.RoleRollout})
		if err != nil {
			t.Fatal(err)
		}
		if value, revision, err := worker.KV("runs").Get(t.Context(), "r.spec"); err != nil || string(value) != "{}" || revision != 1 {
			t.Errorf("start %d: %q, revision %d, %v", start, value, revision, err)
		}
		if _, err := worker.Depth(t.Context(), bus.TaskSource("rollout")); err != nil {
			t.Errorf("start %d: the queue: %v", start, err)
		}
		worker.Close()
		guarded.Stop()
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, addr, want string }{
		"no port":       {t.TempDir(), "127.0.0.1", "host:port"},
		"a word":        {t.TempDir(), "127.0.0.1:nats", "port"},
		"a taken port":  {t.TempDir(), taken.Addr().String(), "is taken"},
		"not a folder":  {file, "127.0.0.1:0", "folder"},
		"not our store": {"/proc/nowhere", "127.0.0.1:0", "folder"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := devstack.StartNATS(c.dir, c.addr)
			if err == nil {
				server.Stop()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want an error with %q", err, c.want)
			}
		})
	}
}
