package blob_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/fault"
)

// testFaults: whatever happens to a write, the object is there once and whole, and whoever writes first is told so; a
// writer who died is followed by one who finds the same content there, or writes it.
func testFaults(t *testing.T, server func(*testing.T) config.Blob) {
	for _, k := range fault.All {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			cfg := server(t)
			past := open(t, cfg) // makes the bucket
			proxy := fault.NewProxy(t, cfg.Endpoint)
			cfg.Endpoint = proxy.URL
			through, happened := open(t, cfg), proxy.Arm(http.MethodPut, "/k", k)
			ctx, die := context.WithCancel(t.Context())
			if k.Deadly() {
				go func() { <-happened; die() }()
			}
			created, err := through.PutIfAbsent(ctx, "k", strings.NewReader("mine"), 4)
			if lives := !k.Deadly(); created != lives || (err == nil) != lives {
				t.Errorf("created %t, error %v; want %t", created, err, lives)
			}
			<-happened
			for _, body := range []string{"mine", "his!"} {
				created, err := past.PutIfAbsent(t.Context(), "k", strings.NewReader(body), 4)
				if want := body == "mine" && k == fault.DeathBefore; created != want || err != nil {
					t.Errorf("another writer of %s: created %t, error %v; want %t", body, created, err, want)
				}
			}
			if got, err := blob.ReadAll(t.Context(), past, "k", 1<<10); err != nil || !strings.Contains(string(got), "mine") {
				t.Errorf("read %q, error %v", got, err)
			}
			die()
		})
	}
}

func open(t *testing.T, cfg config.Blob) blob.Store {
	t.Helper()
	s, err := blob.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestS3Faults(t *testing.T) {
	t.Parallel()
	testFaults(t, func(t *testing.T) config.Blob {
		return scriptedConfig(t, 30*time.Second, (&bucket{objects: map[string]object{}}).ServeHTTP)
	})
}

// bucket is as much of S3 as a conditional write needs. It keeps bodies as they come, with the signatures of their chunks.
type bucket struct {
	mu      sync.Mutex // guards objects
	objects map[string]object
}

type object struct{ body, writer string }

const writerHeader = "X-Amz-Meta-Ratchet-Writer"

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the writer is gone
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key := strings.TrimPrefix(r.URL.Path, "/bucket/")
	o, taken := b.objects[key]
	switch {
	case key == "": // the bucket itself is there
	case r.Method == http.MethodPut && taken && r.Header.Get("If-None-Match") == "*":
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case r.Method == http.MethodPut:
		b.objects[key] = object{string(body), r.Header.Get(writerHeader)}
	case !taken:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set(writerHeader, o.writer)
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		io.WriteString(w, o.body)
	}
}

// TestDirectoryFaults: a write that the disk refuses leaves nothing, and one whose writer died after it is found there.
func TestDirectoryFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, partial := openDirectory(t, dir), filepath.Join(dir, ".partial")
	put := func(key string) (bool, error) { return s.PutIfAbsent(t.Context(), key, strings.NewReader("mine"), 4) }
	if err := os.Rename(partial, partial+"-away"); err != nil {
		t.Fatal(err)
	}
	if created, err := put("refused"); created || err == nil {
		t.Errorf("refused: created %t, error %v", created, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "refused")); err == nil {
		t.Error("a refused write left its object")
	}
	if err := os.Rename(partial+"-away", partial); err != nil {
		t.Fatal(err)
	}
	if created, err := put("refused"); !created || err != nil {
		t.Errorf("tried again: created %t, error %v", created, err)
	}
	// As a writer leaves it who dies between the link and its reply.
	left := filepath.Join(partial, "left")
	if err := os.WriteFile(left, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(left, filepath.Join(dir, "done")); err != nil {
		t.Fatal(err)
	}
	if created, err := put("done"); created || err != nil {
		t.Errorf("done already: created %t, error %v", created, err)
	}
	if got, err := blob.ReadAll(t.Context(), s, "done", 4); err != nil || string(got) != "mine" {
		t.Errorf("read %q, error %v", got, err)
	}
}
