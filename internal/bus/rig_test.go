package bus_test

import (
	"context"
	"flag"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/fault"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
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

func identity(question string) *pb.Identity {
	return &pb.Identity{Run: "r", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: question}
}

func trajectory(id *pb.Identity, answer string) *pb.Event {
	return &pb.Event{Run: id.GetRun(), Generation: id.GetGeneration(), Body: &pb.Event_Trajectory{Trajectory: &pb.Trajectory{
		Identity: id, Answer: answer, Outcome: pb.Outcome_OUTCOME_COMPLETED, Usage: &pb.Usage{Calls: 3, PromptTokens: 5, CompletionTokens: 7},
	}}}
}

func step(i int32, text string) *pb.Step {
	return &pb.Step{Index: i, Candidates: []*pb.Candidate{{Text: text}}, ElapsedMs: int64(i) * 17}
}

func task(id string) *pb.Task {
	return &pb.Task{Id: id, Kind: "rollout", Work: &pb.Task_Shard{Shard: &pb.Shard{
		Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Samples: 2, Questions: []*pb.Question{{Token: "pool-1"}, {Token: "pool-2"}},
	}}}
}

// consume runs a loop until done is closed, and then waits for its end.
func consume(t *testing.T, conn *bus.Conn, l bus.Loop, handle func(context.Context, *bus.Delivery) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	l.Source = bus.TaskSource("rollout")
	go func() { ended <- conn.Consume(ctx, l, handle) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("consume: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// settled waits until no task is left.
func settled(t *testing.T, conn *bus.Conn) {
	t.Helper()
	for {
		if messages(t, conn, bus.Tasks) == 0 {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("never settled")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func dead(t *testing.T, conn *bus.Conn) []*pb.DeadLetter {
	t.Helper()
	return deadOf(t, conn, bus.DeadSubject("rollout", "r"))
}

func deadOf(t *testing.T, conn *bus.Conn, filter string) []*pb.DeadLetter {
	t.Helper()
	var all []*pb.DeadLetter
	for m, err := range conn.Read(t.Context(), bus.Dead, filter) {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := m.Event(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ev.GetDeadLetter())
	}
	return all
}

// messages is how many a stream holds.
func messages(t *testing.T, conn *bus.Conn, stream string) uint64 {
	t.Helper()
	streams, err := conn.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(streams, func(s bus.StreamState) bool { return s.Name == stream })
	return streams[i].Messages
}

// busWith connects with options to a bus of its own.
func busWith(t *testing.T, o bus.Options) *bus.Conn {
	t.Helper()
	cfg := devstack.TestConfig(devstack.TestNATS(t))
	applied(t, cfg)
	conn, err := bus.Connect(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
