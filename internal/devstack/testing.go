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

// TestConn connects to a running bus, with blobs of its own.
func TestConn(t testing.TB, cfg config.Bus) *bus.Conn {
	t.Helper()
	return TestConnWith(t, cfg, TestBlobs(t, t.TempDir()))
}

// TestBlobs is the blob store in a directory.
func TestBlobs(t testing.TB, dir string) blob.Store {
	t.Helper()
	blobs, err := blob.Open(t.Context(), config.Blob{URL: "file://" + dir, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return blobs
}

// TestConnWith connects to a running bus; large events lie in blobs.
func TestConnWith(t testing.TB, cfg config.Bus, blobs blob.Store) *bus.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
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

// TestSettled waits until nothing waits or is in work at any of the sources.
func TestSettled(t testing.TB, conn *bus.Conn, sources ...bus.Source) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		var left uint64
		for _, source := range sources {
			depth, err := conn.Depth(t.Context(), source)
			if err != nil {
				t.Fatal(err)
			}
			left += depth.Waiting + depth.InFlight
		}
		if left == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never settled: %d left", left)
		}
	}
}
