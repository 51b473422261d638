package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// fault is what a link does to the next request that it is armed for; then it drops the connection, once.
type fault int

const (
	refused   fault = iota // the request never arrives
	replyLost              // the request is done, its reply never arrives
)

func (f fault) String() string { return [...]string{"refused", "done but the reply was lost"}[f] }

// link is a TCP proxy between a client and its server.
type link struct {
	net.Listener
	server string

	mu    sync.Mutex // guards match and fault
	match string     // "" while the link is sound
	fault fault
	faced chan struct{} // closed when the fault has happened
}

func newLink(t *testing.T, url string) *link {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{Listener: listener, server: strings.TrimPrefix(url, "nats://"), faced: make(chan struct{})}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { l.join(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		open.Wait()
	})
	return l
}

// arm lets the fault happen to the next request whose bytes contain match.
func (l *link) arm(match string, f fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.match, l.fault = match, f
}

// meets says whether a request meets the fault, which happens once.
func (l *link) meets(request []byte) (f fault, yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.match == "" || !bytes.Contains(request, []byte(l.match)) {
		return 0, false
	}
	l.match = ""
	return l.fault, true
}

// join copies both ways until a side or a fault ends it.
func (l *link) join(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	lossy := make(chan struct{})
	var back sync.WaitGroup
	back.Go(func() {
		l.backward(client, server, lossy)
		_ = client.Close()
	})
	l.forward(client, server, lossy)
	_ = server.Close()
	back.Wait()
}

// forward copies requests; with replyLost it goes on until the reply was lost.
func (l *link) forward(client, server net.Conn, lossy chan<- struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		switch f, yes := l.meets(buffer[:n]); {
		case yes && f == refused:
			close(l.faced)
			return
		case yes:
			close(lossy)
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// backward copies replies; a lossy link loses the next one and breaks.
func (l *link) backward(client io.Writer, server io.Reader, lossy <-chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		select {
		case <-lossy:
			if bytes.Contains(buffer[:n], []byte("MSG _INBOX")) {
				close(l.faced)
				return
			}
			continue
		default:
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// faulty is a connection through a link, and one past it.
func faulty(t *testing.T) (l *link, through, past *bus.Conn) {
	t.Helper()
	cfg := devstack.TestConfig(devstack.TestNATS(t))
	past = devstack.TestConn(t, cfg)
	if err := past.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	l = newLink(t, cfg.URL)
	cfg.URL = "nats://" + l.Addr().String()
	return l, devstack.TestConn(t, cfg), past
}

// TestFaultsOfWrites: whether a write was refused or done with its reply lost, afterwards it is there once, and the caller
// saw no error.
func TestFaultsOfWrites(t *testing.T) {
	t.Parallel()
	id := identity("pool-1")
	for name, c := range map[string]struct {
		match string // a part of the request
		write func(context.Context, *bus.Conn) error
		check func(*testing.T, *bus.Conn)
	}{
		"publish": {"PUB " + bus.TrajectorySubject(id), publishOne, publishedOne},
		"journal": {"PUB " + bus.StepSubject(id), appendTwo, appendedTwo},
		"ack":     {"+ACK", doOne, doneOne},
		"create":  {"Last-Subject-Sequence: 0", updateOne, updatedOne},
		"update":  {"Last-Subject-Sequence: 1", updateOne, updatedOne},
	} {
		for _, f := range []fault{refused, replyLost} {
			t.Run(fmt.Sprintf("%s %s", name, f), func(t *testing.T) {
				t.Parallel()
				l, through, past := faulty(t)
				l.arm(c.match, f)
				if err := c.write(t.Context(), through); err != nil {
					t.Error(err)
				}
				select {
				case <-l.faced:
				default:
					t.Error("the fault never happened")
				}
				c.check(t, past)
			})
		}
	}
}

func publishOne(ctx context.Context, conn *bus.Conn) error {
	id := identity("pool-1")
	ack, err := conn.Publish(ctx, bus.TrajectorySubject(id), trajectory(id, "a"))
	if err == nil && ack.Conflict {
		return fmt.Errorf("%+v: a conflict with itself", ack)
	}
	return err
}

func publishedOne(t *testing.T, conn *bus.Conn) {
	t.Helper()
	var answers []string
	for m, err := range conn.Read(t.Context(), bus.Trajectories, bus.RunFilter(bus.Trajectories, "r")) {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := m.Event(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, ev.GetTrajectory().GetAnswer())
	}
	if len(answers) != 1 || answers[0] != "a" {
		t.Errorf("%q, want one trajectory", answers)
	}
}

func appendTwo(ctx context.Context, conn *bus.Conn) error {
	journal, _, err := conn.OpenJournal(ctx, identity("pool-1"))
	for i := int32(0); err == nil && i < 2; i++ {
		err = journal.Append(ctx, step(i, fmt.Sprint(i)))
	}
	return err
}

func appendedTwo(t *testing.T, conn *bus.Conn) {
	t.Helper()
	_, steps, err := conn.OpenJournal(t.Context(), identity("pool-1"))
	if err != nil || len(steps) != 2 {
		t.Fatalf("%d steps, %v; want 2", len(steps), err)
	}
	for i, s := range steps {
		if s.GetCandidates()[0].GetText() != fmt.Sprint(i) {
			t.Errorf("step %d is %v", i, s)
		}
	}
}

// doOne takes a task and is stopped while it is at it.
func doOne(ctx context.Context, conn *bus.Conn) error {
	if err := conn.PublishTask(ctx, "r", 1, task("a")); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := 0
	err := conn.Consume(ctx, bus.Loop{Source: bus.TaskSource("rollout"), Drain: time.Minute}, func(context.Context, *bus.Delivery) error {
		done++
		stop()
		return nil
	})
	if err == nil && done != 1 {
		return fmt.Errorf("done %d times, want once", done)
	}
	return err
}

func doneOne(t *testing.T, conn *bus.Conn) {
	t.Helper()
	d, err := conn.Depth(t.Context(), bus.TaskSource("rollout"))
	if err != nil || d.Waiting+d.InFlight != 0 {
		t.Errorf("%+v, %v; want an empty queue", d, err)
	}
}

// updateOne leaves a key at its second revision, and knows it.
func updateOne(ctx context.Context, conn *bus.Conn) error {
	kv := conn.KV("runs")
	revision, err := kv.Create(ctx, "key", []byte("0"))
	if err != nil {
		return err
	}
	updated, err := kv.Update(ctx, "key", []byte("1"), revision)
	if err == nil && updated != revision+1 {
		return fmt.Errorf("revision %d after %d", updated, revision)
	}
	return err
}

func updatedOne(t *testing.T, conn *bus.Conn) {
	t.Helper()
	history, err := conn.KV("runs").History(t.Context(), "key")
	if err != nil || len(history) != 2 || string(history[1].Value) != "1" {
		t.Errorf("%v, %v; want two revisions", history, err)
	}
}

// TestRestart: a worker and a follower outlive a restart of the server, and miss nothing.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := devstack.StartNATS(dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := devstack.TestConfig(server.URL())
	conn := devstack.TestConn(t, cfg)
	if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	done, seen := make(chan string, 8), make(chan string, 8)
	consume(t, conn, bus.Loop{}, func(_ context.Context, d *bus.Delivery) error {
		done <- d.Event.GetTask().GetId()
		return nil
	})
	following, stop := context.WithCancel(t.Context())
	var followed sync.WaitGroup
	followed.Go(func() {
		o := bus.FollowOptions{Filters: []string{bus.RunFilter(bus.Trajectories, "r")}}
		if err := conn.Follow(following, bus.Trajectories, o, func(m *bus.Message) error { seen <- m.Subject; return nil }); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); followed.Wait() })
	for _, name := range []string{"before", "after"} {
		id := identity("pool-" + name)
		if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a")); err != nil {
			t.Fatal(err)
		}
		if err := conn.PublishTask(t.Context(), "r", 1, task(name)); err != nil {
			t.Fatal(err)
		}
		expect(t, done, name)
		expect(t, seen, bus.TrajectorySubject(id))
		if name == "before" {
			server.Stop()
			if server, err = devstack.StartNATS(dir, strings.TrimPrefix(cfg.URL, "nats://")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Stop)
		}
	}
}

// expect takes one value, in a time that allows for a server's start and missed heartbeats.
func expect(t *testing.T, from <-chan string, want string) {
	t.Helper()
	select {
	case have := <-from:
		if have != want {
			t.Fatalf("%s, want %s", have, want)
		}
	case <-time.After(40 * time.Second):
		t.Fatalf("%s never came", want)
	}
}
