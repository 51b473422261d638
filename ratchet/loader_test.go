package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
)

// scales is a store that keeps nothing and weighs the live heap whenever something arrives: then all of it was read.
type scales struct {
	blob.Store

	live, size int64
}

func (s *scales) PutIfAbsent(_ context.Context, _ string, body io.Reader, size int64) (bool, error) {
	s.live, s.size = max(s.live, liveHeap()), size
	n, err := io.Copy(io.Discard, body)
	if err == nil && n != size {
		err = fmt.Errorf("got %d bytes, want %d", n, size)
	}
	return true, err
}

func (s *scales) URI(key string) string { return "scales://" + key }

func liveHeap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// Submitting holds no question: what it reads goes to a temporary file. Not parallel: it measures the heap.
func TestSubmitHoldsNoQuestions(t *testing.T) { //nolint:paralleltest // see above
	const n, allowed = 50_000, 1 << 20
	if grown, size := submitted(t, n, 400); grown > allowed {
		t.Errorf("reading %d questions (%d bytes) takes %d bytes, want at most %d", n, size, grown, allowed)
	}
}

// submitted is by how much the live heap has grown when n questions of a length were read, and how large they are.
func submitted(t *testing.T, n, length int) (grown, size int64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pool.jsonl")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewWriter(file)
	for i := range n {
		fmt.Fprintf(lines, "{\"id\":%d,\"question\":\"%d %s?\"}\n", i, i, strings.Repeat("x", length))
	}
	if err := lines.Flush(); err != nil {
		t.Fatal(err)
	}
	file.Close()
	store := &scales{}
	l := loader{blobs: store, note: func(format string, args ...any) { t.Errorf(format, args...) }}
	source := config.Source{Name: "pool", Path: path}
	before := liveHeap()
	if err := l.pool(t.Context(), &source); err != nil {
		t.Fatal(err)
	}
	if source.Count != n || source.URI == "" {
		t.Errorf("got %d questions at %q, want %d", source.Count, source.URI, n)
	}
	return store.live - before, store.size
}

// A submit that is killed leaves nothing in the folder for temporary files.
func TestSpoolLeavesNothing(t *testing.T) {
	t.Parallel()
	s, err := newSpool()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := os.Stat(s.file.Name()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want it gone already", s.file.Name(), err)
	}
}
