package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/sizing"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type submitCommand struct {
	File string `arg:"" type:"existingfile" predictor:"file" help:"The run file."`
	runFlags
	DryRun     bool `help:"Read and check everything, upload and submit nothing."`
	Force      bool `help:"Submit it although the bus has no room for all that it will write."`
	Follow     bool `short:"f" help:"Show progress until the run is finished, then its table."`
	ExitStatus bool `help:"With --follow: exit with 6 if the last generation was rejected, 7 if undecided."`
}

func (submitCommand) Help() string {
	return `Reads the run file, checks it and its questions, puts questions and corpus into the blob store, and gives the run to
the coordinator. Submitting the same run again changes nothing; another one under its name is refused.

    ratchet submit run.yaml
    ratchet submit run.yaml --name trial-2 --generations 1 --follow
    ratchet submit run.yaml --ranker perplexity --dry-run

A run that would fill the bus's store before its end is refused, with the numbers. --force takes it all the same: when a
stream is full the run waits, and goes on once there is room.`
}

// runFlags override a run file.
type runFlags struct {
	RunName     string `name:"name" help:"Name of the run."`
	Ranker      string `help:"Ranker whose choice trains, instead of the file's rankers."`
	Generations *int   `help:"Generations to try."`
	Questions   *int   `help:"Take the first N questions of the pool."`
	Repetitions *int   `help:"Repetitions of an evaluation."`
	RunSeed     *int64 `name:"run-seed" help:"Seed of all sampling."`
}

// apply overrides the run, and checks it again.
func (f runFlags) apply(run *config.Run) error {
	if f.RunName != "" {
		run.Name = f.RunName
	}
	if f.Ranker != "" {
		run.Rankers, run.Strategy.Ranker = []string{f.Ranker}, f.Ranker
	}
	if f.Generations != nil {
		run.Generations = *f.Generations
	}
	if f.Questions != nil {
		run.Questions.Limit = *f.Questions
	}
	if f.Repetitions != nil {
		run.Evaluation.Repetitions, run.Evaluation.Looks = *f.Repetitions, nil
	}
	if f.RunSeed != nil {
		run.Seed = uint64(*f.RunSeed)
	}
	return run.Validate()
}

func (c *submitCommand) Run(ctx context.Context, in *invocation) error {
	run, err := config.LoadRun(c.File)
	if err != nil {
		return err
	}
	if err := c.apply(&run); err != nil {
		return err
	}
	if c.DryRun {
		return c.dry(ctx, in, run)
	}
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	run, needs, err := s.submit(ctx, in, run, filepath.Dir(c.File), 0, c.Force)
	if err != nil {
		return err
	}
	if !c.Follow {
		return in.print(run, []string{run.Name}, func(p view.Paint) string { return view.Spec(run, needs, p) })
	}
	in.show(strings.TrimSpace(view.Spec(run, needs, in.paint(in.err))))
	return s.followToEnd(ctx, in, run.Name, c.ExitStatus)
}

// dry reads the questions and keeps them nowhere.
func (c *submitCommand) dry(ctx context.Context, in *invocation, run config.Run) error {
	cfg, _, err := in.config()
	if err != nil {
		return err
	}
	l := loader{dir: filepath.Dir(c.File), blob: cfg.Blob, note: in.note}
	if err := l.load(ctx, &run); err != nil {
		return err
	}
	named := run.Named("")
	return in.print(named, []string{named.Name}, func(p view.Paint) string { return view.Spec(named, sizing.Of(named, nil), p) })
}

// submit uploads what the run needs, gives it to the coordinator, and returns it as it was submitted. A coordinator
// that was only just started may take until patience is over to answer. The needs are what it will put on the bus.
func (s *session) submit(ctx context.Context, in *invocation, run config.Run, dir string, patience time.Duration, force bool) (config.Run, []sizing.Need, error) {
	blobs, err := s.store()
	if err != nil {
		return run, nil, err
	}
	l := loader{dir: dir, blob: s.config.Blob, blobs: blobs, note: in.note}
	if err := l.load(ctx, &run); err != nil {
		return run, nil, err
	}
	run = run.Named("")
	deadline := time.Now().Add(patience)
	for {
		created, needs, err := s.give(ctx, run, force)
		if err == nil && !created {
			in.note("%s is there already, with the very same content; nothing changed", run.Name)
		}
		if err == nil {
			return run, needs, l.still(ctx, run)
		}
		if !errors.Is(err, bus.ErrNobody) || time.Now().After(deadline) {
			return run, needs, err
		}
		select {
		case <-ctx.Done():
			return run, nil, context.Cause(ctx)
		case <-time.After(askAgain):
		}
	}
}

// askAgain is how long to wait for a coordinator that does not answer yet.
const askAgain = 200 * time.Millisecond

// submission is a run as the coordinator takes it.
type submission struct {
	config.Run

	Force bool `json:"force,omitempty"`
}

// give hands a run to the coordinator; created is false if the very same one is there.
func (s *session) give(ctx context.Context, run config.Run, force bool) (created bool, needs []sizing.Need, err error) {
	var answer struct {
		Run     string        `json:"run"`
		Created bool          `json:"created"`
		Needs   []sizing.Need `json:"needs"`
	}
	err = s.ask(ctx, "submit", submission{run, force}, &answer)
	var text *bus.RequestError
	if errors.As(err, &text) && strings.Contains(text.Text, "other content") {
		return false, nil, refused(fmt.Sprintf("give it another name with --name, or leave the name out; `ratchet status %s` shows the one that is there", run.Name),
			"a run %s with other settings or questions is there already", run.Name)
	}
	return answer.Created, answer.Needs, err
}
