package fault

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// Proxy stands between a client and its HTTP server.
type Proxy struct {
	URL string

	pass http.Handler
	trap trap[*http.Request]
}

// NewProxy makes a sound proxy of the server at target.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{pass: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // what the client has signed
		},
	}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// Arm lets the fault happen to the next request of a method whose path contains part, once.
func (p *Proxy) Arm(method, part string, k Kind) (happened <-chan struct{}) {
	return p.trap.arm(0, k, func(r *http.Request) bool { return r.Method == method && strings.Contains(r.URL.Path, part) })
}

// ServeHTTP passes a request on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, happened, yes := p.trap.meets(r)
	switch {
	case p.trap.isDead():
		panic(http.ErrAbortHandler)
	case !yes:
		p.pass.ServeHTTP(w, r)
		return
	case kind == Refused:
		happened()
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	if kind.Deadly() {
		p.trap.die()
	}
	if kind.done() {
		p.pass.ServeHTTP(httptest.NewRecorder(), r)
	}
	happened()
	panic(http.ErrAbortHandler)
}

// Revive lets a proxy that a death has closed pass requests again: its address is known to whoever goes on.
func (p *Proxy) Revive() {
	p.trap.mu.Lock()
	defer p.trap.mu.Unlock()
	p.trap.dead = false
}
