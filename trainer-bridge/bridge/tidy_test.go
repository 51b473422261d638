package bridge

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// What a pruned run has left goes, and nothing else: not another's, not a running job's, not what a forged name leads to,
// and not that of a run which lives again.
func TestTidy(t *testing.T) {
	t.Parallel()
	conn, dir := devstack.TestBus(t), t.TempDir()
	tidy := &tidier{bus: conn, directory: filepath.Join(dir, "training"), done: map[string]uint64{}}
	file := func(names ...string) string {
		path := filepath.Join(append([]string{dir}, names...)...)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gone := []string{
		file("training", "jobs", "own-1", "out", "w"), file("training", "mixtures", "m1", "manifest.json"), file("training", "checkpoints", "c1", "w"),
	}
	running := file("training", "jobs", "own-2", "out", "w")
	lock, err := folder(filepath.Join(dir, "training", "jobs", "own-2")).lock()
	if err != nil {
		t.Fatal(err)
	}
	kept := []string{running, file("training", "jobs", "own-3", "out", "w"), file("training", "checkpoints", "c3", "w"), file("precious", "w")}
	record := func(key string, value any) {
		text, err := runstate.Marshal(value)
		if err == nil {
			_, err = conn.KV(runstate.Bucket).Create(t.Context(), key, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	record(runstate.PrunedKey("r1"), runstate.Pruned{Run: "r1", Jobs: []string{"own-1"}, Mixtures: []string{"m1", "none"}, Checkpoints: []string{"c1"}})
	record(runstate.PrunedKey("r2"), runstate.Pruned{Run: "r2", Jobs: []string{"own-2"}, Checkpoints: []string{"../../precious", "..", ""}})
	record(runstate.PrunedKey("r3"), runstate.Pruned{Run: "r3", Jobs: []string{"own-3"}, Checkpoints: []string{"c3"}})
	record(runstate.SpecKey("r3"), "it lives")
	for range 2 {
		if err := tidy.tidy(t.Context()); !errors.Is(err, errLocked) {
			t.Fatalf("a job that runs: %v", err)
		}
	}
	there(t, kept, true)
	there(t, gone, false)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tidy.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	there(t, []string{running}, false)
	there(t, kept[1:], true)
}

func there(t *testing.T, files []string, want bool) {
	t.Helper()
	for _, file := range files {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) == want {
			t.Errorf("%s: %v, want it there: %t", file, err, want)
		}
	}
}
