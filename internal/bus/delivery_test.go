package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestTenDeliveriesOneResult: whoever gets the task publishes the result; the stream has it once.
func TestTenDeliveriesOneResult(t *testing.T) {
	t.Parallel()
	conn, id := devstack.TestBus(t), identity("pool-1")
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	for delivery := 1; delivery <= 10; delivery++ {
		published := make(chan int)
		stop := consume(t, conn, bus.Loop{MaxDeliver: 20}, func(ctx context.Context, d *bus.Delivery) error {
			_, err := conn.Publish(ctx, bus.TrajectorySubject(id), trajectory(id, "a"))
			published <- d.Delivered
			if delivery < 10 {
				<-ctx.Done() // the worker is stopped after it has published, before it acknowledges
				return context.Cause(ctx)
			}
			return err
		})
		if d := <-published; d != delivery {
			t.Errorf("delivery %d, want %d", d, delivery)
		}
		stop()
	}
	settled(t, conn)
	if n := messages(t, conn, bus.Trajectories); n != 1 {
		t.Errorf("%d results, want 1", n)
	}
}

// TestFencedWorkerTouchesNothing: a worker that has lost its task must not acknowledge it away from the one that has it.
func TestFencedWorkerTouchesNothing(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	deliveries := make(chan int, 2)
	consume(t, conn, bus.Loop{Slots: 2}, func(_ context.Context, d *bus.Delivery) error {
		deliveries <- d.Delivered
		if d.Delivered == 1 {
			return fmt.Errorf("append: %w", bus.ErrFenced)
		}
		return nil
	})
	if d := <-deliveries; d != 1 {
		t.Fatalf("delivery %d", d)
	}
	if d, err := conn.Depth(t.Context(), bus.TaskSource("rollout")); err != nil || d.InFlight != 1 {
		t.Errorf("%+v, %v: want it still in flight", d, err)
	}
	if d := <-deliveries; d != 2 { // nobody has it after all, so its lease ends
		t.Errorf("delivery %d, want 2", d)
	}
	settled(t, conn)
}

func TestStopEndsTheLoop(t *testing.T) {
	t.Parallel()
	conn, broken := devstack.TestBus(t), errors.New("the index is corrupt")
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	err := conn.Consume(t.Context(), bus.Loop{Source: bus.TaskSource("rollout")}, func(context.Context, *bus.Delivery) error {
		return bus.Stop(broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
	again := make(chan struct{})
	consume(t, conn, bus.Loop{}, func(context.Context, *bus.Delivery) error { close(again); return nil })
	<-again
}

// TestPatience: a worker may start before there is a topology, a connection before there is a server.
func TestPatience(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := devstack.StartNATS(dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := devstack.TestConfig(server.URL())
	server.Stop()
	var conn *bus.Conn
	connected := make(chan error)
	go func() {
		conn, err = bus.Connect(t.Context(), cfg, bus.Options{Role: "test", Log: devstack.TestLog(t)})
		connected <- err
	}()
	server, startErr := devstack.StartNATS(dir, strings.TrimPrefix(cfg.URL, "nats://"))
	if startErr != nil {
		t.Fatal(startErr)
	}
	t.Cleanup(server.Stop)
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	done := make(chan struct{})
	consume(t, conn, bus.Loop{}, func(context.Context, *bus.Delivery) error { close(done); return nil })
	if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	<-done
}

// TestReadyPausesPulls: while the work could not be done, its tasks stay where others can take them.
func TestReadyPausesPulls(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	asked, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	ready := func(ctx context.Context) error {
		once.Do(func() { close(asked) })
		select {
		case <-open:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan struct{})
	consume(t, conn, bus.Loop{Ready: ready}, func(context.Context, *bus.Delivery) error { close(done); return nil })
	<-asked
	d, err := conn.Depth(t.Context(), bus.TaskSource("rollout"))
	for err == nil && d.Waiting == 0 && d.InFlight == 0 { // the server counts a moment after it has acknowledged
		d, err = conn.Depth(t.Context(), bus.TaskSource("rollout"))
	}
	if err != nil || d.Waiting != 1 || d.InFlight != 0 {
		t.Errorf("%+v, %v: want the task waiting", d, err)
	}
	close(open)
	<-done
}

// memory is a blob store that fails reads while it has failures left.
type memory struct {
	sync.Mutex
	failures int
	blobs    map[string][]byte
}

func (m *memory) PutIfAbsent(_ context.Context, key string, body io.Reader, _ int64) (bool, error) {
	data, err := io.ReadAll(body)
	m.Lock()
	defer m.Unlock()
	m.blobs[key] = data
	return true, err
}

func (m *memory) Get(_ context.Context, key string) (io.ReadCloser, error) {
	m.Lock()
	defer m.Unlock()
	if m.failures > 0 {
		m.failures--
		return nil, errors.New("connection refused")
	}
	return io.NopCloser(bytes.NewReader(m.blobs[key])), nil
}

func (m *memory) URI(key string) string          { return "mem://" + key }
func (m *memory) Key(uri string) (string, error) { return strings.TrimPrefix(uri, "mem://"), nil }

// TestClaimsOfTasks: a blob store that does not answer costs another try; a blob that is not what the event claims is
// a dead letter.
func TestClaimsOfTasks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm       func(*memory)
		deliveries []int
		outcomes   int
		dead       bool
	}{
		"whole":                 {func(*memory) {}, []int{1}, 1, false},
		"does not answer once":  {func(m *memory) { m.failures = 1 }, []int{2}, 2, false},
		"other than it claimed": {func(m *memory) { clear(m.blobs) }, nil, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blobs, registry := &memory{blobs: map[string][]byte{}}, prometheus.NewRegistry()
			conn := busWith(t, bus.Options{Role: "test", Log: devstack.TestLog(t), Blobs: blobs, Metrics: registry})
			large := task("a")
			large.GetShard().GetQuestions()[0].Text = strings.Repeat("long ", 100_000)
			if err := conn.PublishTask(t.Context(), "r", 1, large); err != nil {
				t.Fatal(err)
			}
			c.harm(blobs)
			var deliveries []int
			stop := consume(t, conn, bus.Loop{}, func(_ context.Context, d *bus.Delivery) error {
				deliveries = append(deliveries, d.Delivered)
				if !proto.Equal(d.Event.GetTask(), large) {
					t.Error("another task than was published")
				}
				return nil
			})
			settled(t, conn)
			stop()
			if !slices.Equal(deliveries, c.deliveries) {
				t.Errorf("handled in deliveries %v, want %v", deliveries, c.deliveries)
			}
			letters := dead(t, conn)
			if c.dead != (len(letters) == 1) || c.dead && letters[0].GetFailure() != pb.FailureClass_FAILURE_CLASS_INVALID {
				t.Errorf("%v", letters)
			}
			if n, err := testutil.GatherAndCount(registry, "ratchet_bus_deliveries_total"); err != nil || n != c.outcomes {
				t.Errorf("%d outcomes counted, want %d, %v", n, c.outcomes, err)
			}
		})
	}
}

func TestElectionOfOneWhoIsGone(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	before, err := conn.KV("leases").Create(t.Context(), "x", []byte("a process that was killed"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	err = conn.Elect(ctx, "x", func(_ context.Context, fence uint64) error {
		if fence <= before {
			t.Errorf("fence %d after %d", fence, before)
		}
		stop()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLostLease: whoever leads hears that it does not any more, and waits its turn.
func TestLostLease(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	terms := 0
	err := conn.Elect(ctx, "x", func(leading context.Context, _ uint64) error {
		if terms++; terms == 2 {
			stop()
			return nil
		}
		if err := conn.KV("leases").Delete(t.Context(), "x"); err != nil { // as if it had run out
			t.Error(err)
		}
		<-leading.Done()
		if !errors.Is(context.Cause(leading), bus.ErrLeaseLost) {
			t.Errorf("%v, want ErrLeaseLost", context.Cause(leading))
		}
		return leading.Err()
	})
	if err != nil || terms != 2 {
		t.Errorf("%d terms, %v", terms, err)
	}
}

func TestFullStoreIsSaid(t *testing.T) {
	t.Parallel()
	cfg := devstack.TestConfig(devstack.TestNATS(t))
	cfg.MaxBytes = 16 << 10
	conn := applied(t, cfg)
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		id := identity(fmt.Sprintf("pool-%d", i))
		_, err = conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a"))
	}
	if !errors.Is(err, bus.ErrStorage) {
		t.Errorf("%v, want ErrStorage", err)
	}
}

// TestSweep: a worker that neither acknowledges nor gives up is not the end of its task's story.
func TestSweep(t *testing.T) {
	t.Parallel()
	cfg := devstack.TestConfig(devstack.TestNATS(t))
	cfg.MaxDeliver = 1
	conn := applied(t, cfg)
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	conn.Exhaust(t, bus.TaskSource("rollout"))
	for range 2 { // twice the same, if it stopped in between
		if err := conn.SweepAdvisories(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	settled(t, conn)
	letters := dead(t, conn)
	if len(letters) != 1 || len(letters[0].GetIdentities()) != 4 || letters[0].GetFailure() != pb.FailureClass_FAILURE_CLASS_WORKER_KILLED {
		t.Errorf("%v", letters)
	}
}

// TestReadWhatIsPurged: what Read waits for may go away.
func TestReadWhatIsPurged(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	for i := range 600 {
		if _, err := conn.Publish(t.Context(), bus.RunSubject("r", "entered"), &pb.Event{Id: fmt.Sprint(i), Run: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read := 0
	for _, err := range conn.Read(ctx, bus.Runs) {
		if err != nil {
			t.Fatal(err)
		}
		if read++; read == 1 {
			if err := conn.Purge(ctx, bus.Runs, bus.RunFilter(bus.Runs, "r")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if read == 0 || read == 600 {
		t.Errorf("read %d of 600 that were purged meanwhile", read)
	}
}

// TestForgottenDelivery: a server that has forgotten a delivery never answers its acknowledgement. The slot is free again,
// and the message delivered again, within the time of a lease.
func TestForgottenDelivery(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	deliveries := make(chan time.Time, 8)
	consume(t, conn, bus.Loop{}, func(context.Context, *bus.Delivery) error {
		if len(deliveries) == 0 {
			conn.ForgetDeliveries(t, bus.TaskSource("rollout"))
		}
		deliveries <- time.Now()
		return nil
	})
	settled(t, conn)
	forgotten, again := <-deliveries, <-deliveries
	if took := again.Sub(forgotten); took > devstack.TestAckWait+5*time.Second {
		t.Errorf("delivered again after %v, want at most %v and 5 s", took, devstack.TestAckWait)
	}
}
