package evaluate

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/worker"
)

// reportSlots is how many reports a process makes at once: they are few and read much.
const reportSlots = 2

// reportDeadline bounds one report with its decision.
const reportDeadline = 10 * time.Minute

// judgeCalls is how often one trajectory's verdict may call the judge: two texts, two tries.
const judgeCalls = 4

// Run serves the configured judges and the task kind evaluate until ctx ends.
func Run(ctx context.Context, env *app.Env) error {
	gold, counters := newGoldSets(env.Blobs), newMetrics(env.Metrics.Registry())
	settings := env.Config.Evaluator
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range settings.Judges {
		judge := &judging{
			name: name, conn: env.Bus, model: env.LLM, gold: gold, spec: env.Spec, metrics: counters,
		}
		group.Go(func() error {
			return worker.Follow(ctx, env.Bus, worker.Feed{
				Judge: name, Slots: settings.Slots, Deadline: judgeCalls*env.Config.LLM.Wait + time.Minute, Drain: settings.Drain,
			}, judge.handle)
		})
	}
	reports := &evaluating{conn: env.Bus, gold: gold, spec: env.Spec, metrics: counters, log: env.Log}
	group.Go(func() error {
		return worker.Serve(ctx, env.Bus, worker.Kind{
			Name: taskKind, Slots: reportSlots, Deadline: reportDeadline, Drain: settings.Drain, Handle: reports.handle,
		})
	})
	return group.Wait()
}
