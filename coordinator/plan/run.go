package plan

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/bus"
)

// Run applies the topology, serves the operator's requests and, while elected, conducts every run.
func Run(ctx context.Context, env *app.Env) error {
	if err := env.Bus.Apply(ctx, bus.NewTopology(env.Config.Bus)); ctx.Err() != nil {
		return nil // asked to stop before there was anything to do
	} else if err != nil {
		return fmt.Errorf("apply topology: %w", err)
	}
	desk := newDesk(env.Bus, env.Config.Bus.StoreDirectory)
	leader := &leader{
		bus: env.Bus, blobs: env.Blobs, settings: env.Config.Coordinator, log: env.Log,
		poke: desk.changed, metrics: newMetrics(env.Metrics.Registry()),
	}
	if env.LLM != nil {
		leader.prober = env.LLM
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return desk.serve(ctx) })
	group.Go(func() error { return env.Bus.Elect(ctx, "coordinator", leader.lead) })
	return group.Wait()
}
