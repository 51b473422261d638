package search_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/search"
)

// answer is a server that always answers the same.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// serve counts the calls of a handler.
func serve(t *testing.T, h http.HandlerFunc) (url string, calls *atomic.Int64) {
	calls = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		h(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, calls
}

func TestRetrieve(t *testing.T) {
	t.Parallel()
	var first atomic.Bool
	url, calls := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		var in struct {
			Queries []string `json:"queries"`
			TopK    int      `json:"topk"`
			Scores  bool     `json:"return_scores"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/retrieve" || in.TopK != 2 || !in.Scores {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		switch in.Queries[0] {
		case "plain":
			_, _ = io.WriteString(w, `{"result":[[{"id":"1","contents":"\"A &amp; B\"\ntext"}]]}`)
		case "scored":
			_, _ = io.WriteString(w, `{"result":[[{"document":{"id":1,"contents":"\"B\"\ntext"},"score":1.5}, {"document":{"title":"C","contents":"c"}}, {}]]}`)
		default:
			_, _ = io.WriteString(w, `{"result":[[]]}`)
		}
	})
	for _, address := range []string{url, url + "/retrieve/"} {
		s := open(t, settings(t, "record"), config.SearchTool{Kind: "retrieve", URL: address}, nil)
		calls.Store(0)
		for query, want := range map[string]string{"plain": "A & B", "scored": "B,C", "nothing": ""} {
			for range 2 { // the second time from the cache
				found, err := s.Search(t.Context(), query, 2)
				if err != nil || titles(found) != want {
					t.Errorf("%q: %q, %v; want %q", query, titles(found), err, want)
				}
			}
		}
		if found, err := s.Search(t.Context(), " ", 2); err != nil || len(found) > 0 {
			t.Errorf("an empty query: %v, %v", found, err)
		}
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls, want one for each query", n)
	}
}

func TestRetrieveFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
		calls   int64
	}{
		"refused":    {answer(http.StatusUnprocessableEntity, `{"detail":"topk"}`), "422", 1},
		"broken":     {answer(http.StatusInternalServerError, "oh"), "500", 4},
		"a web page": {answer(http.StatusOK, "<html>hello</html>"), "<html>", 4},
		"no list":    {answer(http.StatusOK, `{"error":"x"}`), "with one list", 4},
		"half a body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"result`)
		}, "broke off", 4},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			for range 9 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		}, "larger than", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, calls := serve(t, c.handler)
			cfg := settings(t, "record")
			cfg.Timeout = time.Minute // four replies of 8 MiB take seconds on a busy machine under the race detector
			s := open(t, cfg, config.SearchTool{Kind: "retrieve", URL: url}, nil)
			_, err := s.Search(t.Context(), "q", 3)
			if !errors.As(err, new(*search.Error)) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), url) {
				t.Errorf("%v, want a search error with %q", err, c.want)
			}
			if n := calls.Load(); n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
		})
	}
}

// TestRetrieveHangs: the deadline frees the caller, and says that it is the server's failure.
// A server that quotes the key it was sent does not put it into errors or results.
func TestRetrieveEchoedKey(t *testing.T) {
	t.Parallel()
	const key = "sk-0123456789abcdef"
	cfg := settings(t, "off")
	cfg.KeyFile = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(cfg.KeyFile, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	for status, body := range map[int]string{
		http.StatusForbidden: "no such key: %s", http.StatusOK: `{"result": [[{"document": {"contents": "\"t\"\nkey %s"}, "score": 1}]]}`,
	} {
		url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, body, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		})
		s := open(t, cfg, config.SearchTool{Kind: "retrieve", URL: url}, nil)
		results, err := s.Search(t.Context(), "q", 3)
		if text := fmt.Sprint(results, err); strings.Contains(text, key) || !strings.Contains(text, "[key]") {
			t.Errorf("status %d: want the key replaced by [key]: %s", status, text)
		}
	}
}

func TestRetrieveHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	url, _ := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	cfg := settings(t, "off")
	cfg.Timeout = 50 * time.Millisecond
	s := open(t, cfg, config.SearchTool{Kind: "retrieve", URL: url}, nil)
	begin := time.Now()
	_, err := s.Search(t.Context(), "q", 3)
	if !errors.As(err, new(*search.Error)) || time.Since(begin) > time.Second {
		t.Errorf("%v after %s, want a search error within a second", err, time.Since(begin))
	}
}

func TestRetrieveDown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	s := open(t, settings(t, "off"), config.SearchTool{Kind: "retrieve", URL: server.URL}, nil)
	if _, err := s.Search(t.Context(), "q", 3); !errors.As(err, new(*search.Error)) || !strings.Contains(err.Error(), "the run goes on") {
		t.Errorf("%v, want a search error that says what to do", err)
	}
	if _, err := search.Open(t.Context(), settings(t, "off"), config.SearchTool{Kind: "retrieve", URL: "nonsense"}, nil); err == nil {
		t.Error("a URL without a host was taken")
	}
}

// What a server says to one search holds for all: the second does not even ask.
func TestQuietForAll(t *testing.T) {
	t.Parallel()
	url, calls := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	s := open(t, settings(t, "off"), config.SearchTool{Kind: "retrieve", URL: url}, nil)
	for _, want := range []string{"429", "it has had enough requests for now"} {
		_, err := s.Search(t.Context(), "harbor", 3)
		failsAs(t, err, url, want, "left alone")
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls, want one", n)
	}
}
