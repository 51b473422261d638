package bus_test

import (
	"flag"
	"os"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/fault"
)

// atOnce is how many tests run at once: they wait for reconnections and leases more than they compute.
const atOnce = "8"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil { // before the flags are parsed: -parallel wins
		panic(err)
	}
	os.Exit(m.Run())
}

// applied connects to the bus of cfg and makes its topology.
func applied(t *testing.T, cfg config.Bus) *bus.Conn {
	t.Helper()
	conn := devstack.TestConn(t, cfg)
	if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// faulty is a connection through a link, and one past it.
func faulty(t *testing.T, cfg config.Bus) (l *fault.Link, through, past *bus.Conn) {
	t.Helper()
	past = applied(t, cfg)
	l = fault.NewLink(t, cfg.URL)
	cfg.URL = l.URL()
	return l, devstack.TestConn(t, cfg), past
}

// inPairs runs a test for both faults that a writer lives through, and wants each to have happened.
func inPairs(t *testing.T, w fault.Write, test func(t *testing.T, arm func(*fault.Link))) {
	t.Helper()
	for _, k := range fault.Pair {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			var happened <-chan struct{}
			test(t, func(l *fault.Link) { happened = l.Arm(w, k) })
			expectFault(t, "test", happened)
		})
	}
}

func expectFault(t *testing.T, of string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	default:
		t.Errorf("%s: the fault never happened", of)
	}
}
