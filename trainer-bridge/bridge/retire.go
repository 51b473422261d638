package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// server is one of a deployer's own.
type server struct {
	deployer string
	name     string
}

// servers are those that there are, and whose they are.
type servers map[server]owner

// servers lists what the deployers have running.
func (d deployers) servers(ctx context.Context) (servers, error) {
	all := servers{}
	for deployer, does := range d {
		o, ok := does.(owner)
		if !ok {
			continue
		}
		names, err := o.Servers(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			all[server{deployer, name}] = o
		}
	}
	return all, nil
}

// retire ends them all.
func (s servers) retire(ctx context.Context) error {
	var failures []error
	for one, of := range s {
		if err := of.Retire(ctx, one.name); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// needed tells whether a run still asks a generation's model: the one it tries, of every target, and its incumbent, which
// grows. Both need memory, and what was decided upon needs none.
func needed(state runstate.State, target string, generation int) bool {
	return generation == state.Generation || target == config.OwnTarget && generation == state.Incumbent
}

// spare strikes what a run needs off the servers to retire, deployed or on its way: a checkpoint is published before it
// is deployed.
func (r *reconciler) spare(ctx context.Context, state runstate.State, all servers) error {
	if len(all) == 0 {
		return nil
	}
	spec, err := r.spec(ctx, state.Run)
	if err != nil {
		return err
	}
	o, ok := r.serving.deployers[spec.Deploy.Deployer].(owner)
	if !ok {
		return nil
	}
	for _, target := range spec.Targets {
		for _, generation := range []int{state.Incumbent, state.Generation} {
			if !needed(state, target.Name, generation) {
				continue
			}
			c, err := r.checkpoint(ctx, state.Run, generation, target.Name)
			if errors.Is(err, bus.ErrNotFound) {
				continue // not trained yet, or generation 0, which is not ours
			}
			if err != nil {
				return fmt.Errorf("generation %d: %w", generation, err)
			}
			delete(all, server{spec.Deploy.Deployer, o.Name(order{deploy: spec.Deploy, generation: generation, checkpoint: c})})
		}
	}
	return nil
}
