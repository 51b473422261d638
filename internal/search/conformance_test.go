package search_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/search"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// page is what the backends of the suite hold, in HTML where the backend's own is.
type page struct{ title, text, url string }

// pages are found by the word "harbor", in this order; nothing else is found by anything.
var pages = []page{
	{"Silver Harbor &amp; Co", "A harbor harbor harbor <b>novel</b> &quot;of&quot; the sea.", "http://example.org/1"},
	{"Old Harbor", "An old harbor, one of so many words on this page.", "http://example.org/2"},
	{"New Town", "It has a harbor somewhere among its many other places, words, streets.", "http://example.org/3"},
}

// shown is how the first page is to be read.
var shown = page{"Silver Harbor & Co", `A harbor harbor harbor novel "of" the sea.`, "http://example.org/1"}

// backends of the suite, each with a server that holds the pages, if it has one.
var backends = map[string]struct {
	tool  config.SearchTool
	serve func(pages []page) http.HandlerFunc
}{
	"bm25":          {tool: config.SearchTool{Kind: "bm25"}},
	"retrieve":      {tool: config.SearchTool{Kind: "retrieve"}, serve: serveRetrieve},
	"searxng":       {tool: config.SearchTool{Kind: "searxng"}, serve: serveSearXNG},
	"brave":         {tool: config.SearchTool{Kind: "brave"}, serve: serveBrave},
	"serper":        {tool: config.SearchTool{Kind: "serper"}, serve: serveSerper},
	"mediawiki":     {tool: config.SearchTool{Kind: "mediawiki"}, serve: serveMediaWiki},
	"elasticsearch": {tool: config.SearchTool{Kind: "elasticsearch", Index: "wiki", Fields: map[string]string{"text": "body.en"}}, serve: serveElastic},
	"mcp":           {tool: config.SearchTool{Kind: "mcp"}, serve: serveMCP},
}

// start gives a tool something to ask: a corpus of the pages, or a server of them behind a front.
func start(t *testing.T, name string, held []page, front func(http.Handler) http.HandlerFunc) (config.SearchTool, search.Getter) {
	t.Helper()
	b := backends[name]
	if b.serve == nil {
		var text strings.Builder
		for _, p := range held {
			fmt.Fprintf(&text, "{\"title\":%q,\"contents\":%q,\"url\":%q}\n", p.title, p.text, p.url)
		}
		uri, corpora := keep(text.String())
		b.tool.URI = uri
		return b.tool, corpora.get
	}
	var handler http.Handler = b.serve(held)
	if front != nil {
		handler = front(handler)
	}
	b.tool.URL, _ = serve(t, handler.ServeHTTP)
	return b.tool, nil
}

// eachBackend runs a test over all backends, or those with a server.
func eachBackend(t *testing.T, servers bool, test func(t *testing.T, name string)) {
	t.Helper()
	for name, b := range backends {
		if servers && b.serve == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name)
		})
	}
}

func TestBackendsFind(t *testing.T) {
	t.Parallel()
	eachBackend(t, false, func(t *testing.T, name string) {
		tool, get := start(t, name, pages, nil)
		s := open(t, settings(t, "off"), tool, get)
		for k := range 5 {
			found, err := s.Search(t.Context(), "  harbor\xff ", k)
			if err != nil || len(found) != min(k, len(pages)) {
				t.Fatalf("k of %d: %d results, %v", k, len(found), err)
			}
			for i, r := range found {
				if r.GetUrl() != pages[i].url || r.GetLinkId() != 0 {
					t.Errorf("k of %d: result %d is %v, want %s", k, i, r, pages[i].url)
				}
			}
			if k > 0 && (page{found[0].GetTitle(), found[0].GetSnippet(), found[0].GetUrl()}) != shown {
				t.Errorf("got %v, want %v", found[0], shown)
			}
		}
		for _, query := range []string{"nothing", "", " \n", strings.Repeat("zzz ", 2000)} {
			if found, err := s.Search(t.Context(), query, 3); err != nil || len(found) > 0 {
				t.Errorf("%.20q: %v, %v; want no results and no error", query, found, err)
			}
		}
	})
}

// A page that is a book is cut, wherever it comes from.
func TestBackendsCut(t *testing.T) {
	t.Parallel()
	eachBackend(t, false, func(t *testing.T, name string) {
		book := page{strings.Repeat("harbor ", 1000), strings.Repeat("The harbor is white. ", 5000), "http://example.org/" + strings.Repeat("y", 9000)}
		tool, get := start(t, name, []page{book}, nil)
		tool.Retention = true
		s := open(t, settings(t, "record"), tool, get)
		for _, from := range []string{"the backend", "the cache"} {
			found, err := s.Search(t.Context(), "harbor", 3)
			if err != nil || len(found) != 1 {
				t.Fatalf("from %s: %d results, %v", from, len(found), err)
			}
			r := found[0]
			if len(r.GetTitle()) > 1<<10 || len(r.GetSnippet()) > 16<<10 || len(r.GetUrl()) > 2<<10 || !strings.Contains(r.GetSnippet(), "The harbor is") {
				t.Errorf("from %s: title of %d bytes, snippet of %d, URL of %d", from, len(r.GetTitle()), len(r.GetSnippet()), len(r.GetUrl()))
			}
		}
	})
}

// failsAs holds an error against what a failed search owes: its class, the server's name, what to do.
func failsAs(t *testing.T, err error, url string, want ...string) {
	t.Helper()
	var failed *search.Error
	if !errors.As(err, &failed) || failed.FailureClass() != pb.FailureClass_FAILURE_CLASS_SEARCH {
		t.Fatalf("%v, want a failure of class search", err)
	}
	for _, text := range append(want, url) {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("want %q in: %v", text, err)
		}
	}
}

// What is no reply is no "nothing found".
func TestBackendsGarbage(t *testing.T) {
	t.Parallel()
	for what, body := range map[string]string{"a web page": "<html>welcome</html>", "another JSON": `{"message":"hello"}`, "nothing": "", "null": "null", "a list": "[]"} {
		eachBackend(t, true, func(t *testing.T, name string) {
			tool, _ := start(t, name, nil, func(http.Handler) http.HandlerFunc {
				return func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, body)
				}
			})
			cfg := settings(t, "off")
			cfg.Timeout = 250 * time.Millisecond // for a try or two
			found, err := open(t, cfg, tool, nil).Search(t.Context(), "harbor", 3)
			if len(found) > 0 {
				t.Errorf("%s: %v", what, found)
			}
			failsAs(t, err, tool.URL, "tries")
		})
	}
}

// A busy server is asked again when it says, however often, while there is time.
func TestBackendsWait(t *testing.T) {
	t.Parallel()
	for status, header := range map[int][2]string{
		http.StatusTooManyRequests: {"Retry-After", "1"},
		http.StatusBadGateway:      {"Server", "none"},
	} {
		eachBackend(t, true, func(t *testing.T, name string) {
			var busy atomic.Int64
			tool, _ := start(t, name, pages, func(next http.Handler) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					if busy.Add(1) > 1 {
						next.ServeHTTP(w, r)
						return
					}
					w.Header().Set(header[0], header[1])
					w.WriteHeader(status)
				}
			})
			found, err := open(t, settings(t, "off"), tool, nil).Search(t.Context(), "harbor", 3)
			if err != nil || len(found) != 3 {
				t.Errorf("status %d: %v, %v", status, found, err)
			}
		})
	}
}

// A server that wants more time than there is fails at once, and says so.
func TestBackendsWaitTooLong(t *testing.T) {
	t.Parallel()
	eachBackend(t, true, func(t *testing.T, name string) {
		tool, _ := start(t, name, pages, func(http.Handler) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		begin := time.Now()
		_, err := open(t, settings(t, "off"), tool, nil).Search(t.Context(), "harbor", 3)
		failsAs(t, err, tool.URL, "429", "left alone for 1h0m0s", "search.timeout is 5s", "1 tries")
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestBackendsRefused(t *testing.T) {
	t.Parallel()
	eachBackend(t, true, func(t *testing.T, name string) {
		tool, _ := start(t, name, pages, func(http.Handler) http.HandlerFunc {
			return answer(http.StatusForbidden, "no such key")
		})
		_, err := open(t, settings(t, "off"), tool, nil).Search(t.Context(), "harbor", 3)
		failsAs(t, err, tool.URL, "403", "1 tries")
	})
}

// The key reaches the server, and nothing else: a server that quotes it does not put it into errors or results.
func TestBackendsKey(t *testing.T) {
	t.Parallel()
	const key = "sk-0123456789abcdef"
	eachBackend(t, true, func(t *testing.T, name string) {
		cfg := settings(t, "off")
		var sent atomic.Bool
		has := func(r *http.Request) bool { return strings.Contains(fmt.Sprint(r.Header), key) }
		tool, _ := start(t, name, []page{{"harbor", "harbor " + key, "http://x"}}, func(next http.Handler) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if !has(r) || strings.Contains(r.URL.String(), key) {
					http.Error(w, "no key", http.StatusUnauthorized)
					return
				}
				sent.Store(true)
				next.ServeHTTP(w, r)
			}
		})
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := open(t, cfg, tool, nil).Search(t.Context(), "harbor", 3)
		failsAs(t, err, tool.URL, "401")
		cfg.KeyFiles = map[string]string{strings.TrimPrefix(tool.URL, "http://"): file}
		found, err := open(t, cfg, tool, nil).Search(t.Context(), "harbor", 3)
		if err != nil || !sent.Load() || strings.Contains(fmt.Sprint(found), key) || !strings.Contains(fmt.Sprint(found), "[key]") {
			t.Errorf("%v, %v; want the result with [key]", found, err)
		}
	})
}

// A server that hangs is cut off at the deadline; a caller that gives up gets its own cause back.
func TestBackendsHang(t *testing.T) {
	t.Parallel()
	eachBackend(t, true, func(t *testing.T, name string) {
		release := make(chan struct{})
		arrived := make(chan struct{}, 100)
		tool, _ := start(t, name, pages, func(http.Handler) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				select {
				case <-release:
				case <-r.Context().Done():
				}
			}
		})
		t.Cleanup(func() { close(release) })
		cfg := settings(t, "off")
		cfg.Timeout = 100 * time.Millisecond
		begin := time.Now()
		_, err := open(t, cfg, tool, nil).Search(t.Context(), "harbor", 3)
		failsAs(t, err, tool.URL, "correct search.url")
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("it took %s to give up", took)
		}

		cfg.Timeout = time.Minute
		s := open(t, cfg, tool, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		<-arrived
		go func() { <-arrived; cancel(why) }()
		if _, err := s.Search(ctx, "harbor", 3); !errors.Is(err, why) || errors.As(err, new(*search.Error)) {
			t.Errorf("%v, want the caller's cause", err)
		}
	})
}
