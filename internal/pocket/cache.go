package pocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
)

// DefaultCache is where trained bases are kept: a folder of the user's cache, else of the temporary directory.
func DefaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "ratchet", "pocket")
}

// cached returns the model of a recipe: from its directory in the cache, else trained from the examples and left
// there. A cached base reports its progress once, as complete.
func cached(ctx context.Context, cache, name string, r recipe, examples []nn.Example, progress func(done, total int, loss float64)) (*nn.Model, error) {
	dir := filepath.Join(cache, r.hash())
	m, c, err := readCheckpoint(dir, r.Vocabulary)
	if err == nil {
		if progress != nil {
			progress(r.Training.Steps, r.Training.Steps, c.Loss)
		}
		return m, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the cached base (delete %s to train it anew): %w", dir, err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil { // now rather than after the training
		return nil, fmt.Errorf("make the cache: %w", err)
	}
	raw, err := nn.New(r.Shape, uint64(r.Seed))
	if err != nil {
		return nil, err
	}
	m, loss, err := tune(ctx, raw, examples, r.Training, progress)
	if err != nil {
		return nil, err
	}
	return m, store(dir, m, card{
		What:       "pocket: a tiny trained stand-in for a policy, the base; no language model",
		Vocabulary: r.Vocabulary, Base: name, BaseRecipe: r.hash(), Examples: len(examples), Training: r.Training, Loss: loss,
	})
}

// store writes a base beside its place and moves it there, so that a cache never holds half of one. If another
// process was faster, its base, which has the same bytes, stays.
func store(dir string, m *nn.Model, c card) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".base-*")
	if err != nil {
		return fmt.Errorf("write to the cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := writeCheckpoint(tmp, m, c); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(filepath.Join(dir, cardFile)); there != nil {
			return fmt.Errorf("write to the cache: %w", err)
		}
	}
	return nil
}
