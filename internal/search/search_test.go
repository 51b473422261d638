package search_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/search"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func settings(t testing.TB, cache string) config.Search {
	return config.Search{Directory: t.TempDir(), Timeout: 5 * time.Second, Cache: cache}
}

// blobs are texts by URI.
type blobs map[string]string

func (b blobs) get(_ context.Context, uri string) (io.ReadCloser, error) {
	text, ok := b[uri]
	if !ok {
		return nil, errors.New("no such blob")
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

// keep names a corpus by its content, as `ratchet submit` does.
func keep(text string) (uri string, b blobs) {
	sum := sha256.Sum256([]byte(text))
	uri = "s3://bucket/corpora/" + hex.EncodeToString(sum[:]) + ".jsonl"
	return uri, blobs{uri: text}
}

func open(t testing.TB, cfg config.Search, tool config.SearchTool, get search.Getter) search.Searcher {
	t.Helper()
	s, err := search.Open(t.Context(), cfg, tool, get)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func titles(results []*pb.SearchResult) string {
	var all []string
	for _, r := range results {
		all = append(all, r.GetTitle())
	}
	return strings.Join(all, ",")
}

func TestUnknownKind(t *testing.T) {
	t.Parallel()
	_, err := search.Open(t.Context(), settings(t, "record"), config.SearchTool{Kind: "oracle"}, nil)
	if err == nil || !strings.Contains(err.Error(), "use bm25, mcp or brave") {
		t.Errorf("%v, want the kinds there are", err)
	}
}

// TestReplay samples again on recorded evidence: neither index nor corpus is needed, and nothing else is answered.
func TestReplay(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "record")
	uri, corpora := keep(corpus)
	tool := config.SearchTool{Kind: "bm25", URI: uri}
	recorded, err := open(t, cfg, tool, corpora.get).Search(t.Context(), "born in Belmora", 2)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Cache = "replay"
	s := open(t, cfg, tool, blobs{}.get)
	replayed, err := s.Search(t.Context(), "born in Belmora", 2)
	if err != nil || titles(replayed) != titles(recorded) || titles(replayed) == "" {
		t.Errorf("replay %q, %v; want %q", titles(replayed), err, titles(recorded))
	}
	for name, ask := range map[string]struct {
		query string
		k     int
	}{"another query": {"novel", 2}, "another k": {"born in Belmora", 1}} {
		_, err = s.Search(t.Context(), ask.query, ask.k)
		var failed *search.Error
		if !errors.As(err, &failed) || failed.FailureClass() != pb.FailureClass_FAILURE_CLASS_SEARCH || !strings.Contains(err.Error(), "search.cache: record") {
			t.Errorf("%s: %v, want a search error that says what to do", name, err)
		}
	}
}

// TestGiantResult: of a page that is a book only the beginning is returned, from either backend and from the cache.
func TestGiantResult(t *testing.T) {
	t.Parallel()
	book := strings.Repeat("The whale is white, and so on and so forth. ", 5_000)
	line, err := json.Marshal(map[string]string{"title": strings.Repeat("Whale ", 1000), "contents": book, "url": "http://x/" + strings.Repeat("y", 10_000)})
	if err != nil {
		t.Fatal(err)
	}
	uri, corpus := keep(string(line) + "\n")
	server, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"result":[[{"document":%s,"score":1}]]}`, line)
	})
	for name, tool := range map[string]config.SearchTool{
		"bm25":     {Kind: "bm25", URI: uri},
		"retrieve": {Kind: "retrieve", URL: server},
	} {
		s := open(t, settings(t, "record"), tool, corpus.get)
		for _, from := range []string{"the backend", "the cache"} {
			found, err := s.Search(t.Context(), "whale", 3)
			if err != nil || len(found) != 1 {
				t.Fatalf("%s: %d results, %v", name, len(found), err)
			}
			r := found[0]
			if len(r.GetTitle()) > 1<<10 || len(r.GetSnippet()) > 16<<10 || len(r.GetUrl()) > 2<<10 {
				t.Errorf("%s, from %s: title of %d bytes, snippet of %d, URL of %d", name, from, len(r.GetTitle()), len(r.GetSnippet()), len(r.GetUrl()))
			}
			if !strings.HasPrefix(r.GetSnippet(), "The whale is white") || !strings.HasSuffix(r.GetSnippet(), " ...") {
				t.Errorf("%s: %.40s", name, r.GetSnippet())
			}
		}
	}
}
