package rank

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/choice"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// stepsAtOnce bounds the steps of one trajectory that are ranked together.
const stepsAtOnce = 4

// ordering puts the options of one step in order, best first. Safe for concurrent use.
type ordering interface {
	order(ctx context.Context, spec config.Run, s *choice.Step) (*pb.StepRanking, *pb.Usage, error)
	// describe names the prompt and the model, for the record; empty where there is none.
	describe(judge config.Model) (prompt, model string)
}

// ranker gives feedback in one ranker's name.
type ranker struct {
	name     string
	bus      *bus.Conn
	spec     func(ctx context.Context, run string) (config.Run, error)
	ordering ordering
	metrics  *metrics
}

// handle ranks one trajectory. One of a run that does not name us, one that failed, and one that has its feedback need
// nothing.
func (r *ranker) handle(ctx context.Context, t *pb.Trajectory, ev *pb.Event) error {
	if t.GetIdentity() == nil {
		return invalid(errors.New("rank: the event has no trajectory with an identity"))
	}
	id := bus.IDTokens(t.GetIdentity())
	spec, err := r.spec(ctx, t.GetIdentity().GetRun())
	if err != nil {
		return fmt.Errorf("rank %s: %w", id, err)
	}
	if !slices.Contains(spec.Rankers, r.name) || t.GetOutcome() != pb.Outcome_OUTCOME_COMPLETED {
		return nil
	}
	subject := bus.FeedbackSubject(r.name, t.GetIdentity())
	if _, err := r.bus.Last(ctx, bus.Feedback, subject); !errors.Is(err, bus.ErrNotFound) {
		return err
	}
	feedback, err := r.feedback(ctx, spec, t)
	if err != nil {
		return fmt.Errorf("rank %s: %w", id, err)
	}
	u := feedback.GetUsage()
	u.CostNano = spec.Cost(spec.Judge.Endpoint, spec.Judge.Model, u.GetPromptTokens(), u.GetCompletionTokens())
	ack, err := r.bus.Publish(ctx, subject, &pb.Event{
		Run: ev.GetRun(), Generation: ev.GetGeneration(), Traceparent: ev.GetTraceparent(),
		Body: &pb.Event_Feedback{Feedback: feedback},
	})
	if err == nil && !ack.Existing {
		r.metrics.recorded(feedback)
	}
	return err
}

func invalid(err error) error {
	return worker.Permanent(worker.WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, err))
}

func (r *ranker) feedback(ctx context.Context, spec config.Run, t *pb.Trajectory) (*pb.Feedback, error) {
	steps, err := choice.Steps(t, r.name)
	if err != nil {
		return nil, invalid(err)
	}
	f := &pb.Feedback{
		Identity: t.GetIdentity(), Ranker: r.name, Outcome: pb.Outcome_OUTCOME_COMPLETED, Usage: &pb.Usage{},
		Steps: make([]*pb.StepRanking, len(steps)),
	}
	f.Prompt, f.Model = r.ordering.describe(spec.Judge)
	usages := make([]*pb.Usage, len(steps))
	group, going := errgroup.WithContext(ctx)
	group.SetLimit(stepsAtOnce)
	for i, s := range steps {
		group.Go(func() (err error) {
			if going.Err() != nil {
				return context.Cause(going) // one has failed: no other is begun, those begun end by themselves
			}
			f.Steps[i], usages[i], err = r.rank(ctx, spec, s)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, u := range usages {
		f.Usage.Calls += u.GetCalls()
		f.Usage.PromptTokens += u.GetPromptTokens()
		f.Usage.CompletionTokens += u.GetCompletionTokens()
	}
	return f, nil
}

// rank orders one step. With one option there is nothing to ask.
func (r *ranker) rank(ctx context.Context, spec config.Run, s *choice.Step) (*pb.StepRanking, *pb.Usage, error) {
	ranking, usage := &pb.StepRanking{Ranking: s.Options, RankedBy: pb.RankedBy_RANKED_BY_SINGLE}, (*pb.Usage)(nil)
	if !s.Single() {
		var err error
		if ranking, usage, err = r.ordering.order(ctx, spec, s); err != nil {
			return nil, nil, fmt.Errorf("step %d: %w", s.GetIndex(), err)
		}
	}
	ranking.Step = s.GetIndex()
	s.EmptyLast(ranking)
	return ranking, usage, nil
}
