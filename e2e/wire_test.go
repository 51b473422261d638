package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// wire is a TCP connection's way through a proxy, which can be held up or cut.
type wire struct {
	net.Listener
	to string

	mu    sync.Mutex // guards what follows
	ends  map[net.Conn]bool
	flows *sync.Cond
	state wireState
}

type wireState int

const (
	sound   wireState = iota
	stalled           // what is sent does not arrive, and nobody is told; later it does
	broken            // connections are cut and refused
)

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: listener, to: to, ends: map[net.Conn]bool{}}
	w.flows = sync.NewCond(&w.mu)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { w.join(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.set(broken)
		open.Wait()
	})
	return w
}

// set changes the wire's state.
func (w *wire) set(s wireState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = s
	if s == broken {
		for end := range w.ends {
			_ = end.Close()
		}
	}
	w.flows.Broadcast()
}

// keep has a connection cut with the wire; false if it is cut now.
func (w *wire) keep(end net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == broken {
		return false
	}
	w.ends[end] = true
	return true
}

func (w *wire) drop(end net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.ends, end)
	_ = end.Close()
}

// pass waits while the wire is stalled.
func (w *wire) pass() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.state == stalled {
		w.flows.Wait()
	}
}

func (w *wire) join(client net.Conn) {
	defer w.drop(client)
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer w.drop(server)
	if !w.keep(client) || !w.keep(server) {
		return
	}
	var both sync.WaitGroup
	copies := func(to, from net.Conn) {
		_, _ = io.Copy(to, &slow{from, w}) // ends with either end
		_ = to.Close()
		_ = from.Close()
	}
	both.Go(func() { copies(server, client) })
	both.Go(func() { copies(client, server) })
	both.Wait()
}

// slow reads what a wire lets pass.
type slow struct {
	from io.Reader
	*wire
}

func (s *slow) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.pass()
	return n, err
}
