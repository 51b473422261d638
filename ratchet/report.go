package main

import (
	"context"
	"encoding/json"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type reportCommand struct {
	Name       string `arg:"" name:"run" predictor:"run" help:"The run."`
	ExitStatus bool   `help:"Exit with 6 if the last generation was rejected, 7 if undecided."`
}

func (reportCommand) Help() string {
	return `Accuracies by generation and target, the decisions with their evidence, what judge and metrics say of each
other, whether the rankers can be trusted (position bias, agreement), failures, mixtures, models and cost.

    ratchet report demo-7f3a
    ratchet report demo-7f3a -o json
    ratchet report demo-7f3a --exit-status`
}

// report is what the command prints as JSON.
type report struct {
	history.Results
	Judging history.Judging `json:"judging"`
	Usage   history.Usage   `json:"usage"`
	State   runstate.State  `json:"state"`
	// Ledger tells costs and candidates by generation; Endpoints what the models' endpoints were found to do.
	Ledger    []history.Entry   `json:"ledger,omitempty"`
	Endpoints []json.RawMessage `json:"endpoints,omitempty"`
	spec      config.Run
	found     []*pb.Capabilities
}

func (c *reportCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	r, err := s.report(ctx, c.Name)
	if err != nil {
		return err
	}
	err = in.print(r, []string{c.Name}, func(p view.Paint) string {
		return view.Report(r.Results, r.Judging, r.Usage, r.State, p) + view.Spending(r.Ledger, p) +
			view.Candidates(r.Ledger, r.spec.Policy.Decoding, p) + view.Endpoints(r.found, p)
	})
	if err == nil && c.ExitStatus {
		return verdictOf(r.Results)
	}
	return err
}

// report gathers all of it.
func (s *session) report(ctx context.Context, run string) (report, error) {
	state, err := s.state(ctx, run)
	if err != nil {
		return report{}, err
	}
	spec, err := s.spec(ctx, run)
	if err != nil {
		return report{}, err
	}
	results, err := history.ReadResults(ctx, s.bus, run)
	if err != nil {
		return report{}, err
	}
	judging, err := history.ReadJudging(ctx, s.bus, results, spec.Evaluation.Judge)
	if err != nil {
		return report{}, err
	}
	ledger, err := history.ReadLedger(ctx, s.bus, run)
	if err != nil {
		return report{}, err
	}
	found, err := history.ReadCapabilities(ctx, s.bus, run)
	return report{
		Results: results, Judging: judging, Usage: ledger.Usage, State: state, Ledger: ledger.Entries,
		Endpoints: history.JSON(found...), spec: spec, found: found,
	}, err
}

// verdictOf is the exit code of a run's last decision.
func verdictOf(r history.Results) error {
	for i := len(r.Generations) - 1; i >= 0; i-- {
		switch r.Generations[i].Decision().GetRuling() {
		case pb.Ruling_RULING_REJECT:
			return silent(exitRejected)
		case pb.Ruling_RULING_UNDECIDED:
			return silent(exitUndecided)
		case pb.Ruling_RULING_PROMOTE, pb.Ruling_RULING_BASELINE:
			return nil
		}
	}
	return nil
}
