package search

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// cache keeps results on disk, a small file for each query. Its keys cover all that a result depends on, so an entry
// is never stale.
type cache struct {
	directory string
	identity  string
	next      Searcher // nil: replay
}

var errNotRecorded = errors.New("the query is not in the cache, and search.cache is replay; run it once with search.cache: on")

func newCache(cfg config.Search, identity string, next Searcher) *cache {
	return &cache{directory: filepath.Join(cfg.Directory, "results"), identity: identity, next: next}
}

// Search answers from the cache where it can.
func (c *cache) Search(ctx context.Context, query string, k int) ([]*pb.SearchResult, error) {
	path := c.path(query, k)
	if results, ok := recall(path); ok {
		return results, nil
	}
	if c.next == nil {
		return nil, &Error{fmt.Errorf("%s, %q: %w", c.identity, query, errNotRecorded)}
	}
	results, err := c.next.Search(ctx, query, k)
	if err != nil {
		return nil, err
	}
	if err := keep(path, results); err != nil {
		return nil, &Error{fmt.Errorf("keep results in search.directory: %w", err)}
	}
	return results, nil
}

// Close closes what is behind the cache.
func (c *cache) Close() error {
	if c.next == nil {
		return nil
	}
	return c.next.Close()
}

func (c *cache) path(query string, k int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s", c.identity, k, query))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(c.directory, name[:2], name+".json")
}

// entry is a result as it is kept.
type entry struct {
	Title   string `json:"title"`
	Snippet string `json:"snippet"`
	URL     string `json:"url,omitempty"`
}

// recall reads an entry; one that cannot be read is none.
func recall(path string) ([]*pb.SearchResult, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, false
	}
	var entries []entry
	if json.Unmarshal(data, &entries) != nil {
		return nil, false
	}
	results := make([]*pb.SearchResult, 0, len(entries))
	for _, e := range entries {
		results = append(results, result(e.Title, e.Snippet, e.URL))
	}
	return results, true
}

// keep writes an entry aside and renames it, so that nobody reads half of one.
func keep(path string, results []*pb.SearchResult) error {
	entries := make([]entry, 0, len(results))
	for _, r := range results {
		entries = append(entries, entry{r.GetTitle(), r.GetSnippet(), r.GetUrl()})
	}
	data, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	aside, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return err
	}
	_, err = aside.Write(data)
	if err = errors.Join(err, aside.Close()); err == nil {
		err = os.Rename(aside.Name(), path)
	}
	if err != nil {
		_ = os.Remove(aside.Name())
	}
	return err
}
