package main

import (
	"context"
	"fmt"

	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type judgeCommand struct {
	Calibrate calibrateCommand   `cmd:"" help:"Hold the judge's verdicts against exact match, F1 and people's labels."`
	Export    judgeExportCommand `cmd:"" help:"Write a sheet for people: outputs to rank, or answers to label."`
	Import    judgeImportCommand `cmd:"" help:"Publish people's rankings from a filled sheet, as feedback of the ranker human."`
}

type calibrateCommand struct {
	Names      []string `arg:"" name:"run" predictor:"run" help:"The runs; of several the policies are compared together."`
	Labels     string   `type:"existingfile" predictor:"file" placeholder:"FILE" help:"People's labels, as CSV."`
	F1         float64  `name:"f1" default:"0.5" help:"F1 from which an answer counts as right."`
	Generation int      `default:"-1" help:"Verdicts on this generation only."`
	Target     string   `help:"Verdicts on this target only."`
}

func (calibrateCommand) Help() string {
	return `Confusion tables of the judge's True and False with each measure, the share on which they agree and Cohen's kappa, with
intervals that take the answers to one question together; and over policies the paper's Pearson and Spearman. Of a single
run with few generations there are too few policies: name several runs of the same evaluation set.

Labels are CSV with the columns identity (a trajectory's six tokens; or question, where one answer to it was judged), label
(true or false) and, where several people label, who. Several people's labels of an answer count as what most of them say.

    ratchet judge calibrate demo-7f3a
    ratchet judge calibrate demo-7f3a demo-91bc --labels people.csv
    ratchet judge calibrate demo-7f3a --labels people.csv --generation 1 --target own`
}

func (c *calibrateCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	calibrator := history.Calibrator{F1: c.F1}
	if c.Labels != "" {
		if calibrator.Labels, err = c.labels(ctx, s); err != nil {
			return err
		}
	}
	for _, name := range c.Names {
		spec, err := s.spec(ctx, name)
		if err != nil {
			return err
		}
		results, err := history.ReadResults(ctx, s.bus, name)
		if err != nil {
			return err
		}
		if err := calibrator.Read(ctx, s.bus, results, spec.Evaluation.Judge, c.query(name)); err != nil {
			return err
		}
	}
	result := calibrator.Close()
	if result.Answers == 0 {
		return notFound("wait for an evaluation, or drop --generation and --target", "no verdict in %v that the judge gave", c.Names)
	}
	return in.print(result, c.Names, func(p view.Paint) string { return view.Calibration(result, c.F1, p) })
}

// query selects the evaluated trajectories of a run.
func (c *calibrateCommand) query(run string) history.Query {
	return history.Query{Run: run, Generation: c.Generation, Target: c.Target, Purpose: "eval", Sample: -1}
}

// labels reads people's labels of trajectories that are there.
func (c *calibrateCommand) labels(ctx context.Context, s *session) (map[string][]history.Label, error) {
	l := labelling{answers: map[string]bool{}, byQuestion: map[string][]string{}, first: map[string]string{}, labels: map[string][]history.Label{}}
	for _, name := range c.Names {
		spec, err := s.spec(ctx, name)
		if err != nil {
			return nil, err
		}
		all, err := history.FindTrajectories(ctx, s.bus, c.query(name))
		if err != nil {
			return nil, fmt.Errorf("look for what was labelled: %w", err)
		}
		l.known(spec, all)
	}
	return l.labels, l.read(c.Labels)
}
