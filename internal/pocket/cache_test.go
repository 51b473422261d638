package pocket

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
)

func TestCached(t *testing.T) {
	t.Parallel()
	v := testVocabulary(t)
	r := recipe{Shape: tinyModel(t, 1).Shape, Seed: 4, Vocabulary: v.Hash(), Training: nn.Recipe{Steps: 3, Batch: 1, Rate: 1e-3}}
	examples := []nn.Example{{Prompt: v.Encode("born"), Completion: v.Encode("Ada Abel")}}
	cache := filepath.Join(t.TempDir(), "deep", "cache")
	load := func(r recipe) (*nn.Model, int, error) {
		calls := 0
		m, err := cached(t.Context(), cache, "own@4", r, examples, func(int, int, float64) { calls++ })
		return m, calls, err
	}
	first, calls, err := load(r)
	if err != nil || calls != 3 {
		t.Fatalf("trained in %d steps: %v", calls, err)
	}
	again, calls, err := load(r)
	if err != nil || calls != 1 || !slices.Equal(first.Flat, again.Flat) {
		t.Errorf("from the cache: %d calls, %v", calls, err)
	}
	other := r
	other.Seed++
	if _, calls, err := load(other); err != nil || calls != 3 {
		t.Errorf("another recipe: %d steps, %v", calls, err)
	}
	if left, err := filepath.Glob(filepath.Join(cache, ".base-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}

	if err := os.WriteFile(filepath.Join(cache, r.hash(), parametersFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := load(r); err == nil {
		t.Error("a broken cache was accepted")
	}
}

func TestCachedStops(t *testing.T) {
	t.Parallel()
	v := testVocabulary(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := recipe{Shape: tinyModel(t, 1).Shape, Vocabulary: v.Hash(), Training: nn.Recipe{Steps: 3, Batch: 1, Rate: 1e-3}}
	cache := t.TempDir()
	_, err := cached(ctx, cache, "own@4", r, []nn.Example{{Prompt: v.Encode("born"), Completion: v.Encode("Ada")}}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if entries, err := os.ReadDir(cache); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}
