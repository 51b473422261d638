package search

import (
	"bytes"
	"compress/gzip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// A corpus that decompresses without end is stopped.
func TestCorpusBomb(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	line := []byte(strings.Repeat("\n", 1<<20) + "{\"contents\":\"x\"}\n")
	for range 8 {
		if _, err := z.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	err = eachLine(t.Context(), &bounded{text, 4 << 20}, func(int, document) error { read++; return nil })
	if err == nil || !strings.Contains(err.Error(), "larger than 64 GiB") || read == 0 || read >= 8 {
		t.Errorf("%v after %d documents", err, read)
	}
}

// Whatever is asked, its results are kept below the cache's folder.
func FuzzCachePath(f *testing.F) {
	f.Add("retrieve http://h/retrieve", "../../etc/passwd", 3)
	f.Add("../..", "\x00", -1)
	f.Fuzz(func(t *testing.T, identity, query string, k int) {
		c := newCache(config.Search{Directory: "/data/search"}, identity, nil)
		rest, ok := strings.CutPrefix(c.path(query, k), "/data/search/results/")
		if !ok || !filepath.IsLocal(rest) || strings.Count(rest, "/") != 1 || len(rest) > 100 {
			t.Fatalf("%q, %q is kept at %s", identity, query, c.path(query, k))
		}
	})
}
