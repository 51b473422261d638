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

// cache keeps results on disk, a small file for each query. Its keys cover all that a corpus's results depend on; an
// engine's are as they were when it was asked.
type cache struct {
	directory string
	identity  string
	next      Searcher // nil: replay
	refresh   bool
	limit     *limit
}

var errNotRecorded = errors.New("the query is not in the cache, and search.cache is replay; run it once with search.cache: record")

func newCache(cfg config.Search, identity string, next Searcher) *cache {
	directory := filepath.Join(cfg.Directory, "results")
	return &cache{
		directory: directory, identity: identity, next: next, refresh: cfg.Cache == config.CacheRefresh,
		limit: &limit{directory: directory, most: cfg.CacheBytes},
	}
}

// Search answers from the cache where it can and may.
func (c *cache) Search(ctx context.Context, query string, k int) ([]*pb.SearchResult, error) {
	path := c.path(query, k)
	if !c.refresh {
		if results, ok := recall(path); ok {
			return results, nil
		}
	}
	if c.next == nil {
		return nil, &Error{Err: fmt.Errorf("%s, %q: %w", c.identity, query, errNotRecorded)}
	}
	results, err := c.next.Search(ctx, query, k)
	if err != nil {
		return nil, err
	}
	size, err := keep(path, results)
	if err != nil {
		return nil, &Error{Err: fmt.Errorf("keep results in search.directory: %w", err)}
	}
	c.limit.added(size)
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
		results = append(results, &pb.SearchResult{Title: e.Title, Snippet: e.Snippet, Url: e.URL})
	}
	return results, true
}

// keep writes an entry aside and renames it, so that nobody reads half of one. It returns its size.
func keep(path string, results []*pb.SearchResult) (int64, error) {
	entries := make([]entry, 0, len(results))
	for _, r := range results {
		entries = append(entries, entry{r.GetTitle(), r.GetSnippet(), r.GetUrl()})
	}
	data, err := json.Marshal(entries)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return 0, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), aside+"*")
	if err != nil {
		return 0, err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return int64(len(data)), err
}

// aside begins the name of an entry that is being written.
const aside = "new-"
