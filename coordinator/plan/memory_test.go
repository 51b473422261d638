package plan

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
)

// generated is a store that makes question files as they are read; a key is a number of questions.
type generated struct{ blob.Store }

func (generated) Key(uri string) (string, error) { return uri, nil }

func (generated) Get(_ context.Context, key string) (io.ReadCloser, error) {
	var n int
	if _, err := fmt.Sscan(key, &n); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		for i := range n {
			if _, err := fmt.Fprintf(w, "{\"token\":\"q-%d\",\"id\":\"%d\",\"text\":\"Who wrote book %d?\"}\n", i, i, i); err != nil {
				return // the reader has closed
			}
		}
		w.Close()
	}()
	return r, nil
}

// Reading the questions to publish takes the same memory for any number of them. Not parallel: it measures the heap.
func TestSlicesTakeFlatMemory(t *testing.T) { //nolint:paralleltest // see above
	const allowed = 256 << 10
	few, many := liveAtEnd(t, 1_000), liveAtEnd(t, 100_000)
	if many > few+allowed {
		t.Errorf("live heap: %d bytes at the end of 100,000 questions, %d of 1,000", many, few)
	}
}

// liveAtEnd is the live heap, in bytes, at the last of n questions.
func liveAtEnd(t *testing.T, n int) (live uint64) {
	t.Helper()
	c := &conductor{blobs: generated{}, settings: config.Coordinator{Shard: 4}}
	last, seen := n/4-1, 0
	for index, questions := range c.slices(t.Context(), config.Source{URI: fmt.Sprint(n), Count: n}, 0) {
		if questions.err != nil {
			t.Fatal(questions.err)
		}
		seen += len(questions.list)
		if index == last {
			var stats runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&stats)
			live = stats.HeapAlloc
		}
	}
	if seen != n {
		t.Errorf("got %d questions, want %d", seen, n)
	}
	return live
}

func TestSlicesGoOnFromCursor(t *testing.T) {
	t.Parallel()
	c := &conductor{blobs: generated{}, settings: config.Coordinator{Shard: 4}}
	got := ""
	for index, questions := range c.slices(t.Context(), config.Source{URI: "10"}, 1) {
		got += fmt.Sprintf("%d:%d ", index, len(questions.list))
	}
	if want := "1:4 2:2 "; got != want {
		t.Errorf("slices from 1 of 10 questions: got %s, want %s", got, want)
	}
}
