package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/pocket/world"
	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type demoCommand struct {
	Generations int    `default:"2" help:"Generations to try."`
	Ranker      string `default:"llm" help:"Whose choice trains: llm (pocket's judge), or perplexity (the control: no judge)."`
	Seed        int64  `default:"7" help:"Seed of world, base and sampling. Results vary by seed: try others."`
	Fast        bool   `help:"Fewer questions and repetitions: quicker, and less sure."`
	Keep        string `type:"path" placeholder:"DIR" help:"Keep everything in this directory, to look at with ratchet up."`
}

func (demoCommand) Help() string {
	return `Makes a fictional world, serves pocket (a small policy that stands in for a language model) and runs the whole loop on
this machine: grow, rank, train, evaluate, decide. The improvement is measured on held-out questions, never scripted.
The first time, pocket's bases are trained, which takes about a minute; they are kept in the user's cache.

    ratchet demo
    ratchet demo --ranker perplexity
    ratchet demo --seed 11 --keep ./demo`
}

// Sizes of a fast demo.
const (
	fastPool        = 80
	fastHeldOut     = 60
	fastRepetitions = 2
)

func (c *demoCommand) Run(ctx context.Context, in *invocation) error {
	w := world.New(c.Seed)
	in.note("ratchet %s  world seed %d: %d passages, %d pool + %d evaluation questions", version, c.Seed, len(w.Passages), len(w.PoolQuestions()), len(w.HeldOutQuestions()))
	in.note("policy pocket, a stand-in: it learns, it is no language model worth using")
	dir, cfg, remove, err := c.place(in)
	if err != nil {
		return err
	}
	defer remove()
	if err := w.Write(dir); err != nil {
		return err
	}
	logs, err := os.OpenFile(filepath.Join(dir, "ratchet.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer logs.Close()
	in.note("bus    embedded, fsync   data and log %s", dir)
	system := &stack{config: cfg, logs: logs, note: in.note, base: noteBase(in)}
	err = system.run(ctx, func(ctx context.Context, cfg config.Config) error { return c.improve(ctx, in, cfg, dir) })
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("demo: %w%s", err, lastWarnings(logs.Name()))
	}
	return err
}

// place is where the demo lives: a directory to keep, with the configured addresses, or one that is removed,
// with any free ones.
func (c *demoCommand) place(in *invocation) (dir string, cfg config.Config, remove func(), err error) {
	cfg, sources, err := in.config()
	if err != nil {
		return "", cfg, nil, err
	}
	dir, remove = c.Keep, func() {}
	if c.Keep == "" {
		if dir, err = os.MkdirTemp("", "ratchet-demo-"); err != nil {
			return "", cfg, nil, fmt.Errorf("make a directory: %w", err)
		}
		remove = func() { _ = os.RemoveAll(dir) }
		cfg.Up.Bus, cfg.Up.Pocket, cfg.HTTP.Listen = "127.0.0.1:0", "127.0.0.1:0", ""
		sources["http.listen"] = "demo"
	}
	cfg.Up.Directory, cfg.Up.PocketSeed = dir, c.Seed
	cfg, err = embedded(cfg, sources)
	return dir, cfg, remove, err
}

// improve submits the run, shows it to its end, and prints the table.
func (c *demoCommand) improve(ctx context.Context, in *invocation, cfg config.Config, dir string) error {
	run, err := c.run(cfg)
	if err != nil {
		return err
	}
	s, err := open(ctx, cfg, in.Wait)
	if err != nil {
		return err
	}
	defer s.close()
	run, _, err = s.submit(ctx, in, run, dir, servedWithin, false)
	if err != nil {
		return err
	}
	in.note("run    %s  %d generations, %d candidates, ranker %s, paired bootstrap at %g", run.Name, run.Generations, run.Policy.Candidates, c.Ranker, run.Gate.Level)
	if err := s.followToEnd(ctx, in, run.Name, false); err != nil {
		return err
	}
	return c.balance(ctx, in, s, run.Name)
}

// run is the demo's run. Its name does not depend on where pocket listens, so that the same demo samples the same.
func (c *demoCommand) run(cfg config.Config) (config.Run, error) {
	program, err := os.Executable()
	if err != nil {
		return config.Run{}, fmt.Errorf("find this program: %w", err)
	}
	build := func(program, endpoint string) config.Run {
		run := pocketRun(program, endpoint, c.Seed)
		run.Generations, run.Plateau = c.Generations, max(1, c.Generations)
		run.Rankers, run.Strategy.Ranker = []string{c.Ranker}, c.Ranker
		if c.Fast {
			run.Questions.Limit, run.Evaluation.Set.Limit, run.Evaluation.Repetitions = fastPool, fastHeldOut, fastRepetitions
		}
		return run
	}
	run := build(program, "http://"+cfg.Up.Pocket+"/v1")
	run.Name = build("", "").Named("demo").Name
	return run.Complete()
}

// balance says whether the ledger adds up, and what to look at next.
func (c *demoCommand) balance(ctx context.Context, in *invocation, s *session, name string) error {
	ledger, err := history.ReadLedger(ctx, s.bus, name)
	if err != nil {
		return err
	}
	if !ledger.Balanced {
		fmt.Fprint(in.out, view.Ledger(ledger, in.paint(in.out)))
		return silent(exitFailed)
	}
	in.note("the ledger adds up")
	if c.Keep == "" {
		in.note("next: ratchet demo --ranker perplexity (the same without the judge) | ratchet demo --keep DIR")
		return nil
	}
	in.note("next: ratchet up --set up.directory=%s & ratchet report %s | ratchet trajectory %[2]s", c.Keep, name)
	return nil
}

// lastWarnings is a hint at the log, whose directory may be about to go.
func lastWarnings(path string) string {
	const few = 2048
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return ""
	}
	return "\nlast lines of the log:\n" + string(data[max(0, len(data)-few):])
}
