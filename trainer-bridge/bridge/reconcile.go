package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// keptGenerations is how many of a target's latest generations stay served; the incumbent does in any case.
const keptGenerations = 2

// reconciler keeps what was deployed deployed: a model server that was restarted has lost its adapters.
type reconciler struct {
	bus     *bus.Conn
	spec    specOf
	serving *serving
	tidier  *tidier
	every   time.Duration
	log     *slog.Logger
	metrics *metrics
}

// run looks after every run that goes on, at once and then regularly, until ctx ends. What fails is tried again
// the next time.
func (r *reconciler) run(ctx context.Context) error {
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	for {
		if err := r.reconcile(ctx); err != nil && ctx.Err() == nil {
			r.metrics.unserved.Inc()
			r.log.Warn("could not look after all that is served", "again_in", r.every, "err", err)
		}
		if err := r.tidier.tidy(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("could not tidy up after pruned runs", "again_in", r.every, "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *reconciler) reconcile(ctx context.Context) error {
	servers, err := r.serving.deployers.servers(ctx) // before the runs: what a run orders from now on is not among them
	if err != nil {
		return err
	}
	runs, err := r.activeRuns(ctx)
	if err != nil {
		return fmt.Errorf("list active runs: %w", err)
	}
	var failures []error
	known := true
	for _, run := range runs {
		if err := r.spare(ctx, run, servers); err != nil {
			failures, known = append(failures, fmt.Errorf("run %s: %w", run.Run, err)), false
		}
	}
	if known { // else it is not certain what the runs need
		failures = append(failures, servers.retire(ctx))
	}
	for _, run := range runs {
		if err := r.reconcileRun(ctx, run); err != nil {
			failures = append(failures, fmt.Errorf("run %s: %w", run.Run, err))
		}
	}
	return errors.Join(failures...)
}

func (r *reconciler) activeRuns(ctx context.Context) ([]runstate.State, error) {
	kv := r.bus.KV(runstate.Bucket)
	keys, err := kv.Keys(ctx)
	if errors.Is(err, bus.ErrNotFound) {
		return nil, nil // the coordinator has not made the bucket yet: there was never a run
	}
	if err != nil {
		return nil, err
	}
	var active []runstate.State
	for _, key := range keys {
		run, ok := runstate.RunOf(key)
		if !ok {
			continue
		}
		value, _, err := kv.Get(ctx, key)
		if errors.Is(err, bus.ErrNotFound) {
			continue // deleted since it was listed
		}
		if err != nil {
			return nil, err
		}
		state, err := runstate.Unmarshal(value)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key, err)
		}
		if !state.Finished {
			state.Run = run
			active = append(active, state)
		}
	}
	return active, nil
}

func (r *reconciler) reconcileRun(ctx context.Context, state runstate.State) error {
	spec, err := r.spec(ctx, state.Run)
	if err != nil {
		return err
	}
	deployed, err := r.deployed(ctx, state.Run)
	if err != nil {
		return err
	}
	var failures []error
	for target, generations := range deployed {
		for _, generation := range r.toKeep(spec, state, target, generations) {
			checkpoint, err := r.checkpoint(ctx, state.Run, generation, target)
			if err == nil {
				_, err = r.serving.ensure(ctx, spec, generation, checkpoint)
			}
			if err != nil {
				failures = append(failures, fmt.Errorf("serve %s of generation %d: %w", target, generation, err))
			}
		}
	}
	return errors.Join(failures...)
}

// deployed lists the generations of a run that were deployed, by target.
func (r *reconciler) deployed(ctx context.Context, run string) (map[string][]int, error) {
	generations := map[string][]int{}
	// Of any generation and target; not all of TRAINING, where the progress of jobs lies too.
	filter := strings.TrimSuffix(bus.RunFilter(bus.Training, run), ">") + "*.*.deployment"
	deployments := bus.FollowOptions{Filters: []string{filter}, HeadersOnly: true}
	for m, err := range r.bus.ReadWith(ctx, bus.Training, deployments) {
		if err != nil {
			return nil, fmt.Errorf("list deployments: %w", err)
		}
		subject, err := m.Parse()
		if err != nil {
			continue // it is none
		}
		generations[subject.Target] = append(generations[subject.Target], subject.Generation)
	}
	return generations, nil
}

// toKeep is the generations of a target that are to be served: a server of its own is there for what is needed, an
// adapter costs little.
func (r *reconciler) toKeep(spec config.Run, state runstate.State, target string, generations []int) []int {
	if _, owns := r.serving.deployers[spec.Deploy.Deployer].(owner); !owns {
		return latest(generations, state.Incumbent)
	}
	return slices.DeleteFunc(slices.Clone(generations), func(g int) bool { return !needed(state, target, g) })
}

// latest is the latest generations, and the incumbent if it was deployed: it goes on growing while challengers
// come and go.
func latest(generations []int, incumbent int) []int {
	slices.Sort(generations)
	generations = slices.Compact(generations)
	older := max(0, len(generations)-keptGenerations)
	kept := generations[older:]
	if slices.Contains(generations[:older], incumbent) {
		kept = append([]int{incumbent}, kept...)
	}
	return kept
}

func (r *reconciler) checkpoint(ctx context.Context, run string, generation int, target string) (*pb.Checkpoint, error) {
	event, err := r.bus.First(ctx, bus.Training, bus.TrainingSubject(run, generation, target, "checkpoint"))
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	return event.GetCheckpoint(), nil
}
