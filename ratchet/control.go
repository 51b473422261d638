package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// wish is what the coordinator is asked for.
type wish struct {
	Run    string          `json:"run"`
	Reason string          `json:"reason,omitempty"`
	By     string          `json:"by,omitempty"`
	Calls  int64           `json:"calls,omitempty"`
	Tokens int64           `json:"tokens,omitempty"`
	Wall   config.Duration `json:"wall,omitempty"`
	Cost   float64         `json:"cost,omitempty"`
}

type pauseCommand struct {
	Name   string `arg:"" name:"run" predictor:"run" help:"The run."`
	Reason string `help:"Why; it is shown in the status and kept in the run's log."`
}

func (pauseCommand) Help() string {
	return `Waiting tasks are withdrawn, work in flight finishes, nothing is lost.

    ratchet pause demo-7f3a
    ratchet pause demo-7f3a --reason "endpoint is being upgraded"`
}

func (c *pauseCommand) Run(ctx context.Context, in *invocation) error {
	return in.wish(ctx, "pause", wish{Run: c.Name, Reason: c.Reason}, "%s pauses; work in flight finishes. Go on with: ratchet resume %[1]s")
}

type resumeCommand struct {
	Name   string        `arg:"" name:"run" predictor:"run" help:"The run."`
	Calls  int64         `help:"Raise the budget of LLM calls to this."`
	Tokens int64         `help:"Raise the budget of tokens to this."`
	Wall   time.Duration `help:"Raise the wall time to this."`
	Cost   float64       `help:"Raise the budget of money to this."`
	Reason string        `help:"Why; it is kept in the run's log."`
}

func (resumeCommand) Help() string {
	return `Also after a phase's task has failed, once its cause is mended.

    ratchet resume demo-7f3a
    ratchet resume demo-7f3a --calls 200000
    ratchet resume demo-7f3a --cost 25
    ratchet resume demo-7f3a --wall 48h`
}

func (c *resumeCommand) Run(ctx context.Context, in *invocation) error {
	w := wish{Run: c.Name, Reason: c.Reason, Calls: c.Calls, Tokens: c.Tokens, Wall: config.Duration(c.Wall), Cost: c.Cost}
	return in.wish(ctx, "resume", w, "%s goes on. Watch it with: ratchet status %[1]s --watch")
}

type cancelCommand struct {
	Name   string `arg:"" name:"run" predictor:"run" help:"The run."`
	Reason string `help:"Why; it is kept in the run's log."`
	DryRun bool   `help:"Only say what would end."`
}

func (cancelCommand) Help() string {
	return `Cannot be undone. Trajectories, mixtures and models that are there stay.

    ratchet cancel demo-7f3a
    ratchet cancel demo-7f3a --dry-run
    ratchet cancel demo-7f3a --yes --reason "wrong question set"`
}

func (c *cancelCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	state, err := s.state(ctx, c.Name)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("end %s for good, in %s of generation %d after %d calls", c.Name, state.Phase, state.Generation, state.Usage.Calls)
	if c.DryRun {
		in.note("would %s", what)
		return nil
	}
	if err := in.confirm(what); err != nil {
		return err
	}
	return s.wish(ctx, in, "cancel", wish{Run: c.Name, Reason: c.Reason}, "%s ends; its results stay: ratchet report %[1]s")
}

func (in *invocation) wish(ctx context.Context, endpoint string, w wish, done string) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return s.wish(ctx, in, endpoint, w, done)
}

// wish tells the coordinator, and the operator what comes of it.
func (s *session) wish(ctx context.Context, in *invocation, endpoint string, w wish, done string) error {
	if _, err := s.state(ctx, w.Run); err != nil {
		return err
	}
	w.By = operator()
	var control runstate.Control
	if err := s.ask(ctx, endpoint, w, &control); err != nil {
		return err
	}
	in.note(done, w.Run)
	return nil
}
