package rank

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/worker"
)

// deadline bounds one trajectory's feedback, an outage of its judge included; each call has its own bound.
const deadline = 6 * time.Hour

// Run serves the configured rankers until ctx ends.
func Run(ctx context.Context, env *app.Env) error {
	settings, counters := env.Config.Rank, newMetrics(env.Metrics.Registry())
	orderings := map[string]ordering{"llm": &judged{model: env.LLM}, "perplexity": byPerplexity{}}
	ready := map[string]func(context.Context) error{"llm": env.LLM.AnyReady}
	for _, name := range settings.Rankers {
		if orderings[name] == nil {
			return fmt.Errorf("rank.rankers: %q is not one of ours, llm and perplexity; a ranker of your own is a process of its own, see docs/protocol.md", name)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range settings.Rankers {
		r := &ranker{name: name, bus: env.Bus, spec: env.Spec, ordering: orderings[name], metrics: counters}
		group.Go(func() error {
			return worker.Follow(ctx, env.Bus, worker.Feed{
				Ranker: name, Slots: settings.Slots, Deadline: deadline, Drain: settings.Drain, Ready: ready[name],
			}, r.handle)
		})
	}
	return group.Wait()
}
