package bridge

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// deployer makes a model server serve a checkpoint.
type deployer interface {
	// Ensure returns the name under which the endpoint now serves the checkpoint. It is asked again and again:
	// what is served already stays as it is.
	Ensure(ctx context.Context, endpoint string, generation int, c *pb.Checkpoint) (model string, err error)
}

// newDeployer is the deployer of a run.
func newDeployer(c config.Deploy, lora *vllmLora) (deployer, error) {
	switch c.Deployer {
	case config.DeployerStatic:
		if c.Model == "" {
			return nil, fmt.Errorf("deployer static needs deploy.model, the served name, " +
				"which may hold {checkpoint}, {target} and {generation}")
		}
		return static{c.Model}, nil
	case config.DeployerVLLMLoRA:
		return lora, nil
	}
	return nil, fmt.Errorf("deploy.deployer is %q; expected static or vllm-lora", c.Deployer)
}

// static is for an endpoint that serves the checkpoint already, or will by other means.
type static struct{ template string }

// Ensure only names the model.
func (s static) Ensure(_ context.Context, _ string, generation int, c *pb.Checkpoint) (string, error) {
	return strings.NewReplacer(
		"{checkpoint}", c.GetId(), "{target}", c.GetTarget(), "{generation}", strconv.Itoa(generation),
	).Replace(s.template), nil
}
