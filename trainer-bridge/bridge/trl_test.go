package bridge

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// trlTimeout bounds one job of the real trainer: half a minute on two idle cores, most of it imports.
const trlTimeout = 10 * time.Minute

// TestTRL has the driver run the real trainer, trainer-bridge/trl, on a model of random weights. It needs Python with
// torch and TRL, which `make test-trl` installs and names in RATCHET_TRL.
func TestTRL(t *testing.T) {
	python := os.Getenv("RATCHET_TRL")
	if python == "" {
		t.Skip("RATCHET_TRL does not name a Python with torch and TRL: run make test-trl, which installs them")
	}
	folder := t.TempDir()
	made := exec.CommandContext(t.Context(), python, "tests/fixture.py", folder)
	made.Dir = "../trl"
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("make a model and a mixture: %v\n%s", err, out)
	}
	j := func(manifest string) job {
		return job{name: "own-" + manifest, seed: 7, generation: 1, manifest: filepath.Join(folder, manifest), target: config.Target{
			Name: "own", Base: filepath.Join(folder, "base"), Driver: config.DriverCommand, Timeout: config.Duration(trlTimeout),
			Command: []string{
				python, "-m", "ratchet_trl", "train", "--base={base}", "--manifest={manifest}", "--out={out}", "--seed={seed}",
				"--epochs=2", "--batch=2", "--save-every=2", "--threads=1",
			},
		}}
	}
	t.Run("stopped and started again", func(t *testing.T) { stopTRL(t, j("manifest.json")) })
	t.Run("no repetition mends a bad mixture", func(t *testing.T) {
		_, err := testCommand(t).Train(t.Context(), j("none.json"), func(progress) {})
		if !bus.IsPermanent(err) || !strings.Contains(err.Error(), "none.json") {
			t.Errorf("error %v, want a permanent one that names the manifest", err)
		}
	})
}

// stopTRL stops a job in the middle, as a bridge that ends does, has the next bridge take it up, and the checkpoint read.
func stopTRL(t *testing.T, j job) {
	c := newCommand(t.TempDir(), devstack.TestLog(t))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Train(ctx, j, func(p progress) {
		if p.Done == 5 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the first bridge: error %v, want the cancellation", err)
	}
	var steps []int64
	out, err := c.Train(t.Context(), j, func(p progress) {
		if p.Done > 0 {
			steps = append(steps, p.Done)
		}
		if p.Done > 0 && (p.Total != 12 || p.Loss <= 0 || p.Message == "") {
			t.Errorf("progress %+v, want 12 steps in all, a loss, and words", p)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) == 0 || steps[0] < 5 || steps[len(steps)-1] != 12 {
		t.Errorf("the second bridge saw steps %v, want those that the first one had left", steps)
	}
	checkpoint, err := readCheckpoint(out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range checkpoint.files.Files {
		names = append(names, file.Name)
	}
	if want := "config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json"; strings.Join(names, " ") != want {
		t.Errorf("the checkpoint consists of %v, want %v", names, want)
	}
}
