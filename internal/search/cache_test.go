package search_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/search"
)

// TestCacheModes: what each mode asks, and what it leaves behind for replay.
func TestCacheModes(t *testing.T) {
	t.Parallel()
	var version atomic.Int64
	url, calls := serve(t, func(w http.ResponseWriter, r *http.Request) {
		serveRetrieve([]page{{fmt.Sprintf("harbor %d", version.Add(1)), "harbor", ""}})(w, r)
	})
	cfg := settings(t, config.CacheRecord)
	ask := func(mode string) string {
		t.Helper()
		cfg.Cache = mode
		found, err := open(t, cfg, config.SearchTool{Kind: "retrieve", URL: url}, nil).Search(t.Context(), "harbor", 3)
		if err != nil {
			t.Fatal(mode, err)
		}
		return titles(found)
	}
	for i, step := range []struct{ mode, want string }{
		{config.CacheRecord, "harbor 1"},
		{config.CacheRecord, "harbor 1"},
		{config.CacheOff, "harbor 2"},
		{config.CacheReplay, "harbor 1"},
		{config.CacheRefresh, "harbor 3"},
		{config.CacheReplay, "harbor 3"},
	} {
		if got := ask(step.mode); got != step.want {
			t.Errorf("step %d, %s: got %q, want %q", i+1, step.mode, got, step.want)
		}
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

// TestRetention: what may not be kept is in no file, and replay says why it cannot be.
func TestRetention(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"searxng", "brave", "serper", "mcp"} {
		for _, mode := range []string{config.CacheRecord, config.CacheRefresh} {
			tool, _ := start(t, kind, pages, nil)
			cfg := settings(t, mode)
			for _, retention := range []bool{false, true} {
				tool.Retention = retention
				if _, err := open(t, cfg, tool, nil).Search(t.Context(), "harbor", 3); err != nil {
					t.Fatal(kind, err)
				}
				if kept := len(keptIn(t, cfg.Directory)); (kept > 0) != retention {
					t.Errorf("%s, %s: %d files with retention %t", kind, mode, kept, retention)
				}
			}
			tool.Retention, cfg.Cache = false, config.CacheReplay
			if _, err := search.Open(t.Context(), cfg, tool, nil); err == nil || !strings.Contains(err.Error(), "search.retention: true") {
				t.Errorf("%s: replay of what is not kept: %v", kind, err)
			}
		}
	}
}

func keptIn(t *testing.T, directory string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(directory, "results"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestCacheLimit: the oldest results go, and those of another process too; a crash's leftovers first.
func TestCacheLimit(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, serveRetrieve([]page{{"harbor", strings.Repeat("harbor ", 1000), ""}})) // 8 KiB of disk each
	cfg := settings(t, config.CacheRecord)
	cfg.CacheBytes = 100 << 10
	left := filepath.Join(cfg.Directory, "results", "00", "new-123")
	if err := os.MkdirAll(filepath.Dir(left), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, make([]byte, 20<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	tool := config.SearchTool{Kind: "retrieve", URL: url}
	one, two := open(t, cfg, tool, nil), open(t, cfg, tool, nil)
	for i := range 60 {
		s := []search.Searcher{one, two}[i%2]
		if _, err := s.Search(t.Context(), fmt.Sprintf("harbor %d", i), 3); err != nil {
			t.Fatal(err)
		}
		if size := int64(8<<10) * int64(len(keptIn(t, cfg.Directory))); size > cfg.CacheBytes*12/10+16<<10 {
			t.Fatalf("%d bytes after %d searches, %d are allowed", size, i+1, cfg.CacheBytes)
		}
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("half an entry of an hour ago is still there")
	}
	cfg.Cache = config.CacheReplay
	replay := open(t, cfg, tool, nil)
	if _, err := replay.Search(t.Context(), "harbor 59", 3); err != nil {
		t.Errorf("the newest has gone: %v", err)
	}
	if _, err := replay.Search(t.Context(), "harbor 0", 3); err == nil {
		t.Error("the oldest is still there")
	}
}
