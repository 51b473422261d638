package fault

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
)

// Write names a request on the bus.
type Write struct {
	// Subject is the beginning of its subject.
	Subject string
	// Contains is a part of its headers or payload, where the subject does not tell.
	Contains string
	// Skip is how many such requests pass before the one that is meant.
	Skip int
}

// Link stands between a client and its nats-server.
type Link struct {
	listener net.Listener
	server   string
	trap     trap[frame]
}

// NewLink makes a sound link to the server at url.
func NewLink(t testing.TB, url string) *Link {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{listener: listener, server: strings.TrimPrefix(url, "nats://")}
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

// URL is where clients find the server.
func (l *Link) URL() string { return "nats://" + l.listener.Addr().String() }

// Arm lets the fault happen to the next such request, once.
func (l *Link) Arm(w Write, k Kind) (happened <-chan struct{}) {
	return l.trap.arm(w.Skip, k, func(f frame) bool {
		return f.subject != "" && strings.HasPrefix(f.subject, w.Subject) && bytes.Contains(f.raw, []byte(w.Contains))
	})
}

// Cut is the death of the client without a write of its own: nothing that it sends arrives any more.
func (l *Link) Cut() { l.trap.die() }

// passage is one connection through a link.
type passage struct {
	*Link
	client, server net.Conn

	mu       sync.Mutex // guards what follows
	awaited  string     // the subject of the reply that will be lost
	happened func()
}

func (l *Link) join(client net.Conn) {
	defer client.Close()
	if l.trap.isDead() {
		return
	}
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	p := &passage{Link: l, client: client, server: server}
	var back sync.WaitGroup
	back.Go(func() {
		p.backward()
		_ = client.Close()
	})
	p.forward()
	// The server reads to the end of what it was sent before it closes.
	_ = server.(*net.TCPConn).CloseWrite()
	back.Wait()
	p.over()
}

// forward passes requests on until a fault or a side ends it.
func (p *passage) forward() {
	requests := bufio.NewReader(p.client)
	for {
		f, err := readFrame(requests)
		if err != nil {
			return
		}
		kind, happened, yes := p.trap.meets(f)
		if yes {
			p.await(f.reply, happened)
			if kind.Deadly() {
				p.trap.die()
			}
			if !kind.done() {
				return
			}
		}
		if p.trap.isDead() && !yes {
			return
		}
		if _, err := p.server.Write(f.raw); err != nil {
			return
		}
		if yes && f.reply == "" {
			return // nobody answers; what was sent is read all the same
		}
	}
}

// backward passes replies on, until the one that is lost.
func (p *passage) backward() {
	replies := bufio.NewReader(p.server)
	for {
		f, err := readFrame(replies)
		if err != nil || p.loses(f) {
			return
		}
		if _, err := p.client.Write(f.raw); err != nil {
			return
		}
	}
}

func (p *passage) await(reply string, happened func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaited, p.happened = reply, happened
}

func (p *passage) loses(f frame) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.awaited != "" && f.subject == p.awaited
}

// over tells that the fault has happened, if this connection met it.
func (p *passage) over() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.happened != nil {
		p.happened()
	}
}
