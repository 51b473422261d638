package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/policy"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// askAgain is when a server that is not ready is asked again. A model server takes minutes to start, and that is
// nobody's failed attempt.
const askAgain = 2 * time.Second

// serving serves deploy tasks: a checkpoint becomes a policy that answers. One that cannot be made to, or does not for
// deploy.timeout, is a dead letter: the run pauses with the reason, and its incumbent goes on being served.
type serving struct {
	bus       *bus.Conn
	spec      specOf
	deployers deployers
	log       *slog.Logger

	mu      sync.Mutex
	waiting map[string]time.Time // since when, by the subject of the deployment
}

// handle has a checkpoint served and publishes the policy that it is now.
func (s *serving) handle(ctx context.Context, t *worker.Task) error {
	c := t.GetDeploy().GetCheckpoint()
	if c == nil {
		return invalid(t, "the checkpoint")
	}
	subject := bus.TrainingSubject(t.Run(), t.Generation(), c.GetTarget(), "deployment")
	if done, err := isPublished(ctx, s.bus, subject); done || err != nil {
		return err
	}
	spec, err := s.spec(ctx, t.Run())
	if err != nil {
		return err
	}
	target, err := targetOf(spec, c.GetTarget())
	if err != nil {
		return err
	}
	if over, err := s.finished(ctx, t.Run()); over || err != nil {
		return err // cancelled: a server that was started now would be retired at once, and started again
	}
	served, err := s.ensure(ctx, spec, t.Generation(), c)
	if err != nil {
		err = s.patience(subject, spec.Deploy, t.Delivered, err)
		return s.abandon(ctx, spec, t.Generation(), c, err)
	}
	policy := policy.WithCheckpoint(policy.New(spec.Policy), served.model, served.endpoint, spec.Deploy.Rendering,
		c.GetId(), target.Candidates)
	s.log.Info("deployed", "run", t.Run(), "generation", t.Generation(), "target", target.Name, "policy", policy.GetName())
	return publish(ctx, s.bus, subject, &pb.Event{
		Run: t.Run(), Generation: int32(t.Generation()),
		Body: &pb.Event_Deployment{Deployment: &pb.Deployment{
			Target: target.Name, Checkpoint: c.GetId(), Policy: policy, Deployer: spec.Deploy.Deployer,
		}},
	})
}

// finished tells whether a run has ended, and nobody waits for its checkpoint.
func (s *serving) finished(ctx context.Context, run string) (bool, error) {
	value, _, err := s.bus.KV(runstate.Bucket).Get(ctx, runstate.Key(run))
	if errors.Is(err, bus.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read state of run %s: %w", run, err)
	}
	state, err := runstate.Unmarshal(value)
	return state.Finished, err
}

// patience is what an error means for the task: what is not ready yet is asked again until deploy.timeout is over, and
// what fails is tried as often as a training job.
func (s *serving) patience(subject string, c config.Deploy, delivered int, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !isNotYet(err) {
		delete(s.waiting, subject)
		if delivered >= maxAttempts {
			return worker.Permanent(fmt.Errorf("given up at attempt %d: %w", delivered, err))
		}
		return err
	}
	if _, waits := s.waiting[subject]; !waits {
		if s.waiting == nil {
			s.waiting = map[string]time.Time{}
		}
		s.waiting[subject] = time.Now()
	}
	if time.Since(s.waiting[subject]) < c.ReadyWithin() {
		return worker.Later(askAgain, err)
	}
	delete(s.waiting, subject) // a resumed run waits anew
	return worker.Permanent(fmt.Errorf("not ready within deploy.timeout (%s): %w", c.ReadyWithin(), err))
}

// abandon ends the server of a deployment that was given up, and returns why it was.
func (s *serving) abandon(ctx context.Context, spec config.Run, generation int, c *pb.Checkpoint, why error) error {
	o, owns := s.deployers[spec.Deploy.Deployer].(owner)
	if !owns || !bus.IsPermanent(why) {
		return why
	}
	if err := o.Abandon(ctx, o.Name(order{deploy: spec.Deploy, generation: generation, checkpoint: c})); err != nil {
		s.log.Warn("could not end a server that was given up", "err", err) // the reconciler will
	}
	return why
}

// ensure has a checkpoint served, if it is not.
func (s *serving) ensure(ctx context.Context, spec config.Run, generation int, c *pb.Checkpoint) (served, error) {
	deployer, err := s.deployers.of(spec.Deploy)
	if err != nil {
		return served{}, worker.Permanent(err)
	}
	return deployer.Ensure(ctx, order{deploy: spec.Deploy, generation: generation, checkpoint: c})
}
