package devstack

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
)

// TestAckWait is short, so that tests of crashes need not wait.
const TestAckWait = 2 * time.Second

// TestNATS starts a server for a test and is its URL.
func TestNATS(t testing.TB) string {
	t.Helper()
	s, err := StartNATS(t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s.URL()
}

// TestConfig is the configuration for a bus at url.
func TestConfig(url string) config.Bus {
	cfg := config.Default().Bus
	cfg.URL, cfg.AckWait, cfg.LeaseTTL = url, TestAckWait, 2*time.Second
	cfg.MaxBytes = 1 << 30
	return cfg
}

// TestBus is a connection to a server of its own, with the topology applied and a blob store for large events.
func TestBus(t testing.TB) *bus.Conn {
	t.Helper()
	conn := TestConn(t, TestConfig(TestNATS(t)))
	if err := conn.Apply(t.Context(), bus.NewTopology(TestConfig(""))); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestConn connects to a running bus.
func TestConn(t testing.TB, cfg config.Bus) *bus.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	blobs, err := blob.Open(ctx, config.Blob{URL: "file://" + t.TempDir(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := bus.Connect(ctx, cfg, bus.Options{Role: "test", Log: TestLog(t), Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// TestLog writes to the test's log.
func TestLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}
