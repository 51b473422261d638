package rollout

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/search"
	"github.com/ratchet-rl/ratchet/worker"
)

// shardDeadline is a last resort: each trajectory has its own.
const shardDeadline = 6 * time.Hour

// Run serves rollout tasks until ctx ends.
func Run(ctx context.Context, env *app.Env) error {
	slots := max(env.Config.Rollout.Slots, 1)
	p := &player{
		bus: env.Bus, model: env.LLM, spec: env.Spec, log: env.Log, metrics: newMetrics(env.Metrics.Registry()),
		slots: semaphore.NewWeighted(int64(slots)), most: int64(slots), stopping: ctx.Done(),
		tools: newToolbox(func(ctx context.Context, tool config.SearchTool) (search.Searcher, error) {
			return search.Open(ctx, env.Config.Search, tool, func(ctx context.Context, uri string) (io.ReadCloser, error) {
				key, err := env.Blobs.Key(uri)
				if err != nil {
					return nil, fmt.Errorf("corpus: %w", err)
				}
				return env.Blobs.Get(ctx, key)
			})
		}),
	}
	return worker.Serve(ctx, env.Bus, worker.Kind{
		Name: "rollout", Slots: slots, Deadline: shardDeadline, Drain: env.Config.Rollout.Drain, Handle: p.shard,
		Ready: func(ctx context.Context) error {
			if err := p.awaitSlot(ctx); err != nil {
				return err
			}
			return env.LLM.AnyReady(ctx)
		},
	})
}
