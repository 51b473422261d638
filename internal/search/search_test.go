package search_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
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
	_, err := search.Open(t.Context(), settings(t, "on"), config.SearchTool{Kind: "oracle"}, nil)
	if err == nil || !strings.Contains(err.Error(), "use bm25 or retrieve") {
		t.Errorf("%v, want the kinds there are", err)
	}
}

// TestReplay samples again on recorded evidence: neither index nor corpus is needed, and nothing else is answered.
func TestReplay(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "on")
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
		if !errors.As(err, &failed) || failed.FailureClass() != pb.FailureClass_FAILURE_CLASS_SEARCH || !strings.Contains(err.Error(), "search.cache: on") {
			t.Errorf("%s: %v, want a search error that says what to do", name, err)
		}
	}
}
