package blob_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/blob/blobtest"
	"github.com/ratchet-rl/ratchet/internal/config"
)

func openDirectory(t *testing.T, dir string) blob.Store {
	t.Helper()
	s, err := blob.Open(t.Context(), config.Blob{URL: "file://" + dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return openDirectory(t, t.TempDir()) })
}

func TestDirectoryURIIsAPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openDirectory(t, dir)
	ref, err := blob.PutContent(t.Context(), s, "x", "txt", []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(strings.TrimPrefix(ref.URI, "file://"))
	if err != nil || string(got) != "hello" {
		t.Errorf("the file of %s: %q, error %v", ref.URI, got, err)
	}
}

// A symbolic link out of the directory is no way out.
func TestDirectoryIsNotLeftByLinks(t *testing.T) {
	t.Parallel()
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := openDirectory(t, dir)
	if body, err := s.Get(t.Context(), "link/secret"); err == nil {
		body.Close()
		t.Error("read through a link that leaves the directory")
	}
	if _, err := s.PutIfAbsent(t.Context(), "link/new", strings.NewReader("x"), 1); err == nil {
		t.Error("wrote through a link that leaves the directory")
	}
	if err := s.Delete(t.Context(), "link/secret"); err == nil {
		t.Error("deleted through a link that leaves the directory")
	}
}

// What a crashed writer left is invisible at once and removed a day later; what is being written stays.
func TestDirectoryRemovesLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openDirectory(t, dir)
	partial := filepath.Join(dir, ".partial")
	for name, age := range map[string]time.Duration{"old": 25 * time.Hour, "young": time.Hour} {
		file := filepath.Join(partial, name)
		if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
	}
	s := openDirectory(t, dir)
	for o := range s.List(t.Context(), "") {
		t.Errorf("listed: %+v", o)
	}
	if left := names(t, partial); !slices.Equal(left, []string{"young"}) {
		t.Errorf("left are %v, want only young", left)
	}
}

func TestOpenRefusesOtherURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "data", "file://", "s3://", "http://host/bucket", "gs://bucket"} {
		if _, err := blob.Open(t.Context(), config.Blob{URL: url}); err == nil || !strings.Contains(err.Error(), "blob.url") {
			t.Errorf("blob.url %q: error %v", url, err)
		}
	}
}

// No key, whatever it is, makes or reads a file beside the directory.
func FuzzDirectoryKey(f *testing.F) {
	for _, key := range append(blobtest.BadKeys, "a", "a/b", "..a", "a..b/=") {
		f.Add(key)
	}
	parent := f.TempDir()
	if err := os.WriteFile(filepath.Join(parent, "secret"), []byte("x"), 0o600); err != nil {
		f.Fatal(err)
	}
	s, err := blob.Open(f.Context(), config.Blob{URL: "file://" + filepath.Join(parent, "store")})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key string) {
		created, err := s.PutIfAbsent(t.Context(), key, strings.NewReader(key), int64(len(key)))
		if err == nil && created {
			if got, err := blob.ReadAll(t.Context(), s, key, 1<<20); err != nil || string(got) != key {
				t.Errorf("read %q: %q, error %v", key, got, err)
			}
			if got, err := s.Key(s.URI(key)); err != nil || got != key {
				t.Errorf("URI of %q became key %q, error %v", key, got, err)
			}
			if err := s.Delete(t.Context(), key); err != nil {
				t.Errorf("delete %q: %v", key, err)
			}
		}
		if beside := names(t, parent); !slices.Equal(beside, []string{"secret", "store"}) {
			t.Errorf("key %q: beside the directory lie %v", key, beside)
		}
	})
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// What is put again is as young as if it had been written now, so that nobody collects it before it is pointed at.
func TestDirectoryFreshens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := blob.Open(t.Context(), config.Blob{URL: "file://" + dir})
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * blob.Fresh)
	for i := range 2 {
		if created, err := s.PutIfAbsent(t.Context(), "a/b", strings.NewReader("x"), 1); err != nil || created != (i == 0) {
			t.Fatalf("put %d: %t, %v", i, created, err)
		}
		if o, err := s.Stat(t.Context(), "a/b"); err != nil || time.Since(o.Modified) > blob.Fresh {
			t.Fatalf("put %d: %+v, %v", i, o, err)
		}
		if err := os.Chtimes(filepath.Join(dir, "a", "b"), old, old); err != nil {
			t.Fatal(err)
		}
	}
}
