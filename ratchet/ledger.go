package main

import (
	"context"

	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type ledgerCommand struct {
	Name string `arg:"" name:"run" predictor:"run" help:"The run."`
}

func (ledgerCommand) Help() string {
	return `For each generation, target and purpose: expected = completed + failed + dead + in flight + not yet
published, and every completed trajectory has its feedback or verdict. Exits with 1 if it does not add up.

    ratchet ledger demo-7f3a
    ratchet ledger demo-7f3a -o json
    ratchet ledger demo-7f3a && echo complete`
}

func (c *ledgerCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.state(ctx, c.Name); err != nil {
		return err
	}
	ledger, err := history.ReadLedger(ctx, s.bus, c.Name)
	if err != nil {
		return err
	}
	err = in.print(ledger, []string{ledger.Run}, func(p view.Paint) string { return view.Ledger(ledger, p) })
	if err == nil && !ledger.Balanced {
		return silent(exitFailed)
	}
	return err
}
