package e2e

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// gate is a proxy before an S3 server, of which some requests in a hundred go wrong.
type gate struct {
	*httptest.Server
	pass *httputil.ReverseProxy

	mu      sync.Mutex // guards what follows
	percent int
	random  *rand.Rand
	how     []wrong
	first   *wrong          // what each write meets the first time
	written map[string]bool // by path
	met     map[string]int  // what went wrong, by method
}

// wrong is a way in which a request goes wrong.
type wrong struct {
	name string
	do   func(g *gate, w http.ResponseWriter, r *http.Request)
}

var (
	unavailable = wrong{"503", func(_ *gate, w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>", http.StatusServiceUnavailable)
	}}
	late = wrong{"slow", func(g *gate, w http.ResponseWriter, r *http.Request) {
		<-time.After(time.Second)
		g.pass.ServeHTTP(w, r)
	}}
	refused = wrong{"cut before it arrived", func(*gate, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}
	// replyLost is done by the server, and nobody hears of it.
	replyLost = wrong{"done but the reply was lost", func(g *gate, _ http.ResponseWriter, r *http.Request) {
		g.pass.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}}
)

func newGate(t *testing.T, server string) *gate {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{written: map[string]bool{}, met: map[string]int{}, pass: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // which is signed
	}}}
	g.Server = httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(g.Close)
	return g
}

// turn has some requests in a hundred go wrong from now on, in one of the ways.
func (g *gate) turn(percent int, random *rand.Rand, how ...wrong) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.percent, g.random, g.how = percent, random, how
}

func (g *gate) serve(w http.ResponseWriter, r *http.Request) {
	if way := g.meets(r); way != nil {
		way.do(g, w, r)
		return
	}
	g.pass.ServeHTTP(w, r)
}

// meets is what goes wrong with a request; nil for nothing.
func (g *gate) meets(r *http.Request) (way *wrong) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.first != nil && r.Method == http.MethodPut && !g.written[r.URL.Path]:
		g.written[r.URL.Path], way = true, g.first
	case g.percent > 0 && g.random.IntN(100) < g.percent:
		way = &g.how[g.random.IntN(len(g.how))]
	default:
		return nil
	}
	g.met[r.Method+" "+way.name]++
	return way
}

// shut is an S3 server that goes wrong always in one way, for a while.
func (g *gate) shut(how wrong, random *rand.Rand) fault {
	return fault{
		kind: "S3: " + how.name, lasts: 2 * time.Second,
		do:   func() { g.turn(100, random, how) },
		undo: func() { g.turn(0, nil) },
	}
}
