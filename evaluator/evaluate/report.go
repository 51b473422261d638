package evaluate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// report reads the outcomes and verdicts of the task's generation and target, and sums them up.
func (e *evaluating) report(ctx context.Context, w work) (*pb.Event, error) {
	set, err := e.gold.read(ctx, w.spec.Evaluation.Set.GoldURI)
	if err != nil {
		return nil, err
	}
	t := newTally(set, int(w.GetRepetitions()))
	if err := e.countTrajectories(ctx, w, t); err != nil {
		return nil, fmt.Errorf("count trajectories: %w", err)
	}
	if err := e.countVerdicts(ctx, w, t); err != nil {
		return nil, fmt.Errorf("count verdicts: %w", err)
	}
	report := t.report()
	report.Target, report.Policy, report.Look = w.GetTarget(), w.GetPolicy(), w.GetLook()
	report.Set, report.Judge = w.spec.Evaluation.Set.Name, w.spec.Evaluation.Judge
	e.log.Info("report", "run", w.run, "generation", w.generation, "target", w.GetTarget(), "look", w.GetLook(),
		"accuracy", report.GetAnswer().GetMean(), "std", report.GetAnswer().GetStd(), "missing", report.GetMissing())
	ev := w.event()
	ev.Body = &pb.Event_Report{Report: report}
	return ev, nil
}

// evaluated matches, in TRAJECTORIES or VERDICTS, what belongs to the evaluation of this generation and target.
func (w work) evaluated(stream string) string {
	return strings.TrimSuffix(bus.GenerationFilter(stream, w.run, w.generation), ">") + w.GetTarget() + ".eval.>"
}

func (e *evaluating) countTrajectories(ctx context.Context, w work, t *tally) error {
	for message, err := range e.conn.Read(ctx, bus.Trajectories, w.evaluated(bus.Trajectories)) {
		if err != nil {
			return err
		}
		ev, err := message.Event(ctx)
		if errors.Is(err, bus.ErrRejected) {
			continue // its verdict will be missing
		}
		if err != nil {
			return fmt.Errorf("%s: %w", message.Subject, err)
		}
		trajectory := ev.GetTrajectory()
		class := ""
		if trajectory.GetOutcome() == pb.Outcome_OUTCOME_FAILED {
			class = bus.ClassName(trajectory.GetFailure())
		}
		t.trajectory(trajectory.GetIdentity(), class, trajectory.GetUsage())
	}
	return nil
}

func (e *evaluating) countVerdicts(ctx context.Context, w work, t *tally) error {
	for message, err := range e.conn.Read(ctx, bus.Verdicts, w.evaluated(bus.Verdicts)) {
		if err != nil {
			return err
		}
		subject, err := message.Parse()
		if err != nil || subject.Kind != w.spec.Evaluation.Judge {
			continue
		}
		ev, err := message.Event(ctx)
		if errors.Is(err, bus.ErrRejected) {
			continue // and so it is missing
		}
		if err != nil {
			return fmt.Errorf("%s: %w", message.Subject, err)
		}
		if err := t.verdict(subject.Identity, ev.GetVerdict()); err != nil {
			_ = message.Stray(err) // counted and told of; the report goes on without it
		}
	}
	return nil
}
