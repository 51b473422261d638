package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/pocket/world"
	"github.com/ratchet-rl/ratchet/internal/search"
)

// library answers as a Search-R1 server does, with what the embedded index finds.
type library struct {
	searcher search.Searcher
	asked    atomic.Int64
	address  string
	server   *http.Server
}

// newLibrary has the site's corpus. It does not listen yet.
func newLibrary(t *testing.T, s site) *library {
	t.Helper()
	corpus := filepath.Join(s.dir, world.CorpusFile)
	open := func(context.Context, string) (io.ReadCloser, error) { return os.Open(corpus) }
	searcher, err := search.Open(t.Context(), config.Search{Directory: t.TempDir(), Timeout: time.Minute, Cache: config.CacheOff},
		config.SearchTool{Kind: config.SearchBM25, URI: "file://" + corpus}, open)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = searcher.Close() })
	return &library{searcher: searcher, address: freeAddress(t)}
}

// open begins to listen, and again after close, at the same address.
func (l *library) open(t *testing.T) {
	t.Helper()
	var listener net.Listener
	eventually(t, "the search service's port", 10*time.Second, func() (listening bool) {
		var err error
		listener, err = new(net.ListenConfig).Listen(context.WithoutCancel(t.Context()), "tcp", l.address)
		return err == nil
	})
	l.server = &http.Server{Handler: l, ReadHeaderTimeout: time.Minute}
	go func() { _ = l.server.Serve(listener) }()
}

// close cuts off whoever is waiting, too.
func (l *library) close() { _ = l.server.Close() }

func (l *library) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Queries []string
		TopK    int
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || len(request.Queries) != 1 {
		http.Error(w, "want one query", http.StatusBadRequest)
		return
	}
	l.asked.Add(1)
	found, err := l.searcher.Search(r.Context(), request.Queries[0], request.TopK)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	type document struct {
		Title, Text, URL string
	}
	hits := []map[string]document{}
	for _, f := range found {
		hits = append(hits, map[string]document{"document": {f.GetTitle(), f.GetSnippet(), f.GetUrl()}})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"result": []any{hits}})
}

// The search service is away for so long that tasks would be given up if that counted as attempts; then the run goes on, and
// ends as it does with the embedded index, undisturbed.
func TestSearchAway(t *testing.T) {
	long(t)
	want, _ := reference(t)
	s := newSite(t)
	l := newLibrary(t, s)
	embedded := fmt.Sprintf("search: {corpus: %s,", world.CorpusFile)
	text, err := os.ReadFile(s.run)
	if err != nil || !strings.Contains(string(text), embedded) {
		t.Fatalf("%v: no %q in the run", err, embedded)
	}
	write(t, s.run, strings.Replace(string(text), embedded, fmt.Sprintf("search: {kind: retrieve, url: \"http://%s\",", l.address), 1))
	settings, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.config, strings.Replace(string(settings), "search: {", "search: {cache: \"off\", ", 1))
	l.open(t)
	t.Cleanup(l.close)
	s.course.pace = 2 * latency
	o := newOrdeal(t, s, *chaosSeed, "coordinator", "rollout-worker", "rollout-worker", "rank-worker", "trainer-bridge", "trainer-bridge", "evaluator")
	o.within += 5 * time.Second // for which a worker leaves alone what is away
	for _, phase := range []string{"baseline", "grow", "evaluate"} {
		if !o.await(phase) {
			t.Errorf("the run has left %s before the search was away in it", phase)
			continue
		}
		lasts := 5 * time.Second
		if phase == "grow" {
			lasts = searchAway
		}
		o.inflict(fault{kind: "search away", hits: o.cast.of("rollout-worker"), lasts: lasts, do: l.close, undo: func() { l.open(t) }})
		o.watching.Wait()
	}
	o.finish(want)
	if l.asked.Load() == 0 {
		t.Error("nobody searched")
	}
}

// searchAway is longer than all attempts at a task take together, were the outage counted as one each time.
const searchAway = time.Minute
