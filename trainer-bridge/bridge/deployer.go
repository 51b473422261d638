package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// deployer makes a model server serve a checkpoint.
type deployer interface {
	// Ensure says where the checkpoint is served and under which name. It is asked again and again, and does not wait:
	// what is served already stays as it is, and what is on its way is a notYet.
	Ensure(ctx context.Context, o order) (served, error)
}

// owner is a deployer whose servers are its own, so that it ends them too.
type owner interface {
	deployer
	// Name is the server that an order leads to.
	Name(o order) string
	// Servers lists those that there are, by name.
	Servers(ctx context.Context) ([]string, error)
	// Abandon ends one that never got ready.
	Abandon(ctx context.Context, name string) error
	// Retire ends one and all that is left of it.
	Retire(ctx context.Context, name string) error
}

// order is a checkpoint that is to be served.
type order struct {
	deploy     config.Deploy
	generation int
	checkpoint *pb.Checkpoint
}

// served is where and as what a checkpoint is served.
type served struct{ model, endpoint string }

// notYet is the error of what may come by itself: a server that starts, an endpoint that does not answer.
type notYet struct{ error }

func (e notYet) Unwrap() error { return e.error }

// isNotYet tells it from one that was given up.
func isNotYet(err error) bool {
	var e notYet
	return errors.As(err, &e) && !bus.IsPermanent(err)
}

// model is the name under which the checkpoint is served: deploy.model, or the target and the checkpoint.
func (o order) model() string {
	if o.deploy.Model == "" {
		return o.checkpoint.GetTarget() + "-" + o.checkpoint.GetId()
	}
	return o.fill(o.deploy.Model)
}

// fill fills in the braces of a text, those of more (name and value in turn) among them.
func (o order) fill(text string, more ...string) string {
	return strings.NewReplacer(append([]string{
		"{checkpoint}", o.checkpoint.GetId(), "{target}", o.checkpoint.GetTarget(), "{generation}", strconv.Itoa(o.generation),
	}, more...)...).Replace(text)
}

// deployers are those that there are, by their name in the run's file.
type deployers map[string]deployer

// of is the deployer of a run.
func (d deployers) of(c config.Deploy) (deployer, error) {
	if found := d[c.Deployer]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("deploy.deployer is %q; expected %s", c.Deployer, strings.Join(slices.Sorted(maps.Keys(d)), ", "))
}

// static is for an endpoint that serves the checkpoint already, or will by other means.
type static struct{ probe probe }

// Ensure names the model and looks whether the endpoint answers.
func (d static) Ensure(ctx context.Context, o order) (served, error) {
	if o.deploy.Model == "" {
		return served{}, fmt.Errorf("deployer static needs deploy.model, the served name, " +
			"which may hold {checkpoint}, {target} and {generation}")
	}
	s := served{model: o.model(), endpoint: o.deploy.Endpoint}
	return s, d.probe.answers(ctx, o.deploy.Ready, s)
}
