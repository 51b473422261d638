package evaluate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// taskKind is the kind of task that this role serves.
const taskKind = "evaluate"

// evaluating makes reports and decisions.
type evaluating struct {
	conn    *bus.Conn
	gold    *goldSets
	spec    specs
	metrics *metrics
	log     *slog.Logger
}

// work is one task with all that it is about.
type work struct {
	*pb.Evaluate
	run        string
	generation int
	trace      string
	spec       config.Run
}

// subject is where a result of this work is recorded: report or decision.
func (w work) subject(what string) string {
	return evalSubject(w.run, w.generation, w.GetTarget(), what, int(w.GetLook()))
}

func evalSubject(run string, generation int, target, what string, look int) string {
	return bus.EvalSubject(run, generation, target, fmt.Sprintf("%s-%d", what, look))
}

func (w work) event() *pb.Event {
	return &pb.Event{Run: w.run, Generation: int32(w.generation), Traceparent: w.trace}
}

// handle records the report; for target own also the decision and, if it says so, the promotion. Whatever an
// earlier delivery has recorded is taken as it is.
func (e *evaluating) handle(ctx context.Context, t *worker.Task) error {
	w := work{Evaluate: t.GetEvaluate(), run: t.Run(), generation: t.Generation(), trace: t.Event.GetTraceparent()}
	if w.Evaluate == nil {
		return worker.Permanent(fmt.Errorf("task %s: expected the work `evaluate`, got another one", t.GetId()))
	}
	var err error
	if w.spec, err = e.spec(ctx, w.run); err != nil {
		return err
	}
	if err := w.check(); err != nil {
		return worker.Permanent(err)
	}
	report, err := e.once(ctx, w.subject("report"), func() (*pb.Event, error) { return e.report(ctx, w) })
	if err != nil || w.GetTarget() != config.OwnTarget {
		return err
	}
	decision, err := e.once(ctx, w.subject("decision"), func() (*pb.Event, error) { return e.decide(ctx, w, report.GetReport()) })
	if err != nil {
		return err
	}
	return e.promote(ctx, w, report.GetReport(), decision)
}

// check holds the task against the run's plan of looks.
func (w work) check() error {
	looks := w.spec.Evaluation.LookPlan()
	look := int(w.GetLook())
	if look < 1 || look > len(looks) || looks[look-1] != int(w.GetRepetitions()) {
		return fmt.Errorf("evaluate %s, generation %d, target %s: look %d at %d repetitions is not planned; the run's looks are %v",
			w.run, w.generation, w.GetTarget(), look, w.GetRepetitions(), looks)
	}
	return nil
}

// once is what is recorded at the subject; if nothing is, what make returns, recorded first. Should another
// worker be quicker, its record counts.
func (e *evaluating) once(ctx context.Context, subject string, make func() (*pb.Event, error)) (*pb.Event, error) {
	recorded, err := e.recorded(ctx, subject)
	if !errors.Is(err, bus.ErrNotFound) {
		return recorded, err
	}
	ev, err := make()
	if err != nil {
		return nil, err
	}
	if _, err := e.conn.Publish(ctx, subject, ev); err != nil {
		return nil, err
	}
	return e.recorded(ctx, subject)
}

// recorded reads the event at a subject of EVALS; bus.ErrNotFound if there is none.
func (e *evaluating) recorded(ctx context.Context, subject string) (*pb.Event, error) {
	return e.conn.First(ctx, bus.Evals, subject)
}
