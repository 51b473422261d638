package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/pocket"
	"github.com/ratchet-rl/ratchet/internal/pocket/world"
)

type initCommand struct {
	Out  string `arg:"" optional:"" default:"." type:"path" help:"Directory; made if it is not there."`
	Seed int64  `default:"7" help:"Seed of the example's world."`
}

func (initCommand) Help() string {
	return `run.yaml is an example run with the embedded policy, and the manual of every setting of a run; ratchet.yaml is that
of the configuration. Files that are there are left alone.

    ratchet init
    ratchet init example && cd example && ratchet up --submit run.yaml`
}

func (c *initCommand) Run(in *invocation) error {
	cfg, _, err := in.config()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if err := pocket.WriteWorld(c.Out, c.Seed); err != nil {
		return err
	}
	run := pocketRun(program, "http://"+cfg.Up.Pocket+"/v1", c.Seed)
	for name, text := range map[string][]byte{"run.yaml": config.ExampleRun(run), defaultConfig: config.ExampleConfig()} {
		path := filepath.Join(c.Out, name)
		if err := writeNew(path, text); errors.Is(err, fs.ErrExist) {
			in.note("%s is there; left alone", path)
		} else if err != nil {
			return err
		} else {
			in.note("wrote %s", path)
		}
	}
	in.note("next: ratchet up --submit %s", filepath.Join(c.Out, "run.yaml"))
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Settings of pocket's example that its measurements suggest.
const (
	pocketRepetitions = 3
	pocketSearches    = 5
	pocketGrowing     = 0.7
)

// pocketRun is a run of the embedded policy in the world of a seed, whose files lie beside the run file.
func pocketRun(program, endpoint string, seed int64) config.Run {
	run := config.DefaultRun()
	run.Seed = uint64(seed)
	run.Questions.Path = world.PoolFile
	run.Evaluation.Set.Path = world.HeldOutFile
	run.Evaluation.Repetitions = pocketRepetitions
	run.Search.Corpus = world.CorpusFile
	run.Search.Budget = pocketSearches
	run.Policy.Endpoint, run.Policy.Model.Model = endpoint, pocket.ModelOwn
	run.Policy.Rendering = config.RenderingBare
	run.Judge.Endpoint, run.Judge.Model = endpoint, pocket.ModelJudge
	run.Grow.Temperature = pocketGrowing
	for _, size := range []string{pocket.BaseOwn, pocket.BaseSmall} {
		run.Targets = append(run.Targets, config.Target{
			Name: size, Base: pocket.Base{Size: size, Seed: seed}.String(),
			Command: []string{
				program, "pocket", "train", "--base", "{base}", "--seed", "{seed}", "--manifest", "{manifest}", "--out", "{out}",
			},
		})
	}
	return run
}
