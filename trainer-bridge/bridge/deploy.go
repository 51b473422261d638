package bridge

import (
	"context"
	"log/slog"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/policy"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// serving serves deploy tasks: a checkpoint becomes a policy that answers.
type serving struct {
	bus  *bus.Conn
	spec specOf
	lora *vllmLora
	log  *slog.Logger
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
	model, err := s.ensure(ctx, spec, t.Generation(), c)
	if err != nil {
		return err
	}
	served := policy.WithCheckpoint(policy.New(spec.Policy), model, spec.Deploy.Endpoint, spec.Deploy.Rendering,
		c.GetId(), target.Candidates)
	s.log.Info("deployed", "run", t.Run(), "generation", t.Generation(), "target", target.Name, "policy", served.GetName())
	return publish(ctx, s.bus, subject, &pb.Event{
		Run: t.Run(), Generation: int32(t.Generation()),
		Body: &pb.Event_Deployment{Deployment: &pb.Deployment{
			Target: target.Name, Checkpoint: c.GetId(), Policy: served, Deployer: spec.Deploy.Deployer,
		}},
	})
}

// ensure has a checkpoint served, if it is not, and returns the name of its model.
func (s *serving) ensure(ctx context.Context, spec config.Run, generation int, c *pb.Checkpoint) (string, error) {
	deployer, err := newDeployer(spec.Deploy, s.lora)
	if err != nil {
		return "", worker.Permanent(err)
	}
	return deployer.Ensure(ctx, spec.Deploy.Endpoint, generation, c)
}
