package evaluate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ratchet-rl/ratchet/evaluator/evaluate/gate"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// decide compares the challenger's report with the incumbent's.
func (e *evaluating) decide(ctx context.Context, w work, challenger *pb.Report) (*pb.Event, error) {
	d := w.declared()
	if w.GetIncumbent() < 0 {
		baseline(d, challenger)
	} else if err := e.compare(ctx, w, d, challenger); err != nil {
		return nil, err
	}
	e.metrics.decision(d)
	e.log.Info("decision", "run", w.run, "generation", w.generation, "ruling", rulingName(d.GetRuling()), "reason", d.GetReason())
	ev := w.event()
	ev.Body = &pb.Event_Decision{Decision: d}
	return ev, nil
}

// declared is what a decision holds before anything was measured.
func (w work) declared() *pb.Decision {
	g := w.spec.Gate
	return &pb.Decision{
		Target: w.GetTarget(), Rule: g.Rule, Level: g.Level, Margin: g.Margin, Seed: w.spec.Seed,
		Challenger: int32(w.generation), Incumbent: w.GetIncumbent(), Policy: w.GetPolicy(),
		Look: w.GetLook(), Looks: int32(len(w.spec.Evaluation.LookPlan())), Repetitions: w.GetRepetitions(),
	}
}

// baseline promotes the starting policy: there is nothing to compare it with.
func baseline(d *pb.Decision, report *pb.Report) {
	d.Ruling, d.Questions = pb.Ruling_RULING_BASELINE, report.GetQuestions()
	d.Reason = fmt.Sprintf("baseline: %.1f %% of %d questions, the first report of this run",
		100*report.GetAnswer().GetMean(), report.GetQuestions())
	if report.GetMissing() > 0 {
		d.Reason += fmt.Sprintf("; %d answers have no verdict, so nothing can be promoted over it", report.GetMissing())
	}
}

func (e *evaluating) compare(ctx context.Context, w work, d *pb.Decision, challenger *pb.Report) error {
	incumbent, err := e.latestReport(ctx, w, int(w.GetIncumbent()))
	if err != nil {
		return err
	}
	g := w.spec.Gate
	rule := gate.Rule{Name: g.Rule, Level: g.Level, Margin: g.Margin, Resamples: g.Resamples, Seed: w.spec.Seed}
	found, err := gate.Decide(rule, w.spec.Evaluation.LookPlan(), int(w.GetLook()), arm(challenger), arm(incumbent))
	if err != nil {
		return worker.Permanent(fmt.Errorf("decide on generation %d of run %s: %w", w.generation, w.run, err))
	}
	d.Ruling, d.Reason, d.Alpha = found.Ruling, found.Reason, found.Alpha
	d.Effect, d.Low, d.High = found.Effect, found.Low, found.High
	d.Questions, d.Gained, d.Lost = int32(found.Questions), int32(found.Gained), int32(found.Lost)
	return nil
}

// latestReport is a generation's report at the highest look it came to.
func (e *evaluating) latestReport(ctx context.Context, w work, generation int) (*pb.Report, error) {
	looks := w.spec.Evaluation.LookPlan()
	for look := len(looks); look > 0; look-- {
		ev, err := e.recorded(ctx, evalSubject(w.run, generation, config.OwnTarget, "report", look))
		if err == nil {
			return ev.GetReport(), nil
		}
		if !errors.Is(err, bus.ErrNotFound) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the incumbent, generation %d of run %s, has no report on EVALS: evaluate it first", generation, w.run)
}

// arm is a report as the gate sees it: final answers.
func arm(r *pb.Report) gate.Arm {
	a := gate.Arm{Questions: make(map[string]gate.Tally, len(r.GetByQuestion())), Missing: int(r.GetMissing())}
	for _, q := range r.GetByQuestion() {
		a.Questions[q.GetQuestion()] = gate.Tally{Right: int(q.GetAnswerRight()), Of: int(q.GetRepetitions())}
	}
	return a
}

// rulingName is a ruling in lower case: promote, reject, ...
func rulingName(r pb.Ruling) string {
	return strings.ToLower(strings.TrimPrefix(r.String(), "RULING_"))
}
