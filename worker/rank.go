package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Rank ranks the candidates of every step of a completed trajectory, and never changes it. It fills in the feedback's
// steps; what names the trajectory and the ranker is filled in for it.
type Rank func(ctx context.Context, t *pb.Trajectory) (*pb.Feedback, error)

// ranker gives feedback in one ranker's name, once for each trajectory.
type ranker struct {
	name string
	conn *Conn
	spec func(ctx context.Context, run string) (config.Run, error)
	rank Rank
}

// handle ranks one trajectory, unless its run does not name us, it failed, or it has our feedback.
func (r ranker) handle(ctx context.Context, t *pb.Trajectory, ev *pb.Event) error {
	if t.GetIdentity() == nil {
		return Permanent(WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, errors.New("rank: want a trajectory with an identity")))
	}
	spec, err := r.spec(ctx, t.GetIdentity().GetRun())
	if err != nil {
		return fmt.Errorf("rank: %w", err)
	}
	if !slices.Contains(spec.Rankers, r.name) || t.GetOutcome() != pb.Outcome_OUTCOME_COMPLETED {
		return nil
	}
	subject := bus.FeedbackSubject(r.name, t.GetIdentity())
	if _, err := r.conn.Last(ctx, bus.Feedback, subject); !errors.Is(err, bus.ErrNotFound) {
		return err // nil: it is there
	}
	feedback, err := r.rank(ctx, t)
	if err != nil {
		return err
	}
	feedback.Identity, feedback.Ranker = t.GetIdentity(), r.name
	if feedback.GetOutcome() == pb.Outcome_OUTCOME_UNSPECIFIED {
		feedback.Outcome = pb.Outcome_OUTCOME_COMPLETED
	}
	_, err = r.conn.Publish(ctx, subject, &pb.Event{
		Run: ev.GetRun(), Generation: ev.GetGeneration(), Traceparent: ev.GetTraceparent(),
		Body: &pb.Event_Feedback{Feedback: feedback},
	})
	return err
}
