package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// tidier removes what pruned runs have left in the directory. Only what a prune has named goes, and nothing that is
// needed is lost with it: a mixture and a checkpoint are fetched again from the blob store.
type tidier struct {
	bus       *bus.Conn
	directory string
	// done is the records that were seen to, by key and revision.
	done map[string]uint64
}

func (t *tidier) tidy(ctx context.Context) error {
	kv := t.bus.KV(runstate.Bucket)
	keys, err := kv.Revisions(ctx)
	if errors.Is(err, bus.ErrNotFound) {
		return nil // there was never a run
	}
	if err != nil {
		return fmt.Errorf("list pruned runs: %w", err)
	}
	var failures []error
	for key, revision := range keys {
		run, ok := runstate.PrunedOf(key)
		if _, lives := keys[runstate.SpecKey(run)]; !ok || lives || t.done[key] == revision {
			continue // one that lives was submitted or imported again
		}
		if err := t.tidyRun(ctx, kv, key); err != nil {
			failures = append(failures, fmt.Errorf("remove what run %s has left: %w", run, err))
			continue
		}
		t.done[key] = revision
	}
	return errors.Join(failures...)
}

func (t *tidier) tidyRun(ctx context.Context, kv *bus.KV, key string) error {
	value, _, err := kv.Get(ctx, key)
	if err != nil {
		return err
	}
	var pruned runstate.Pruned
	if err := json.Unmarshal(value, &pruned); err != nil {
		return fmt.Errorf("decode %s: %w", key, err)
	}
	return t.remove(pruned)
}

// remove removes the folders of a run. A job that runs keeps its own until the next time.
func (t *tidier) remove(pruned runstate.Pruned) error {
	for sub, names := range map[string][]string{"mixtures": pruned.Mixtures, "checkpoints": pruned.Checkpoints} {
		for _, name := range names {
			if err := t.removeFolder(sub, name); err != nil {
				return err
			}
		}
	}
	for _, name := range pruned.Jobs {
		f := folder(filepath.Join(t.directory, "jobs", name))
		if _, err := os.Stat(string(f)); err != nil {
			continue
		}
		lock, err := f.lock()
		if err != nil {
			return err
		}
		err = t.removeFolder("jobs", name)
		if err = errors.Join(err, lock.Close()); err != nil {
			return err
		}
	}
	return nil
}

// removeFolder removes one by its name, which is nothing but a name.
func (t *tidier) removeFolder(sub, name string) error {
	if !config.IsToken(name) {
		return nil
	}
	return os.RemoveAll(filepath.Join(t.directory, sub, name))
}
