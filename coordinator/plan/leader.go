package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// sweepEvery is how often exhausted messages are carried to the dead letters, and queues looked at that may stand still.
const sweepEvery = 10 * time.Second

// leader conducts every unfinished run, each by a conductor of its own, while it holds the lease.
type leader struct {
	bus      *bus.Conn
	blobs    blob.Store
	settings config.Coordinator
	log      *slog.Logger
	metrics  *metrics
	prober   prober
	// poke says that a run was submitted or a wish changed, so that nobody waits for the next poll.
	poke <-chan struct{}
}

// lead runs until ctx ends, which is also how a lost lease arrives.
func (l *leader) lead(ctx context.Context, fence uint64) error {
	l.log.Info("leading", "fence", fence)
	var conducting sync.WaitGroup
	defer conducting.Wait()
	busy, laggards := newBusy(), bus.NewLaggards(l.bus)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		if err := l.takeUp(ctx, fence, busy, &conducting); err != nil && ctx.Err() == nil {
			l.log.Warn("look for runs", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.poke:
			busy.poke()
		case <-sweep.C:
			if err := errors.Join(l.bus.SweepAdvisories(ctx), laggards.Look(ctx)); err != nil && ctx.Err() == nil {
				l.log.Warn("look after the queues", "error", err)
			}
		case <-time.After(l.settings.Poll):
		}
	}
}

// takeUp starts a conductor for each unfinished run that has none.
func (l *leader) takeUp(ctx context.Context, fence uint64, busy *busy, conducting *sync.WaitGroup) error {
	keys, err := l.bus.KV(runstate.Bucket).Revisions(ctx)
	if err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	for key, revision := range keys {
		run, ok := runstate.RunOf(key)
		if !ok || !busy.take(run, revision) {
			continue
		}
		conducting.Go(func() {
			if finished, ok := l.conduct(ctx, run, fence, busy.channel(run)); ok {
				busy.finish(run, finished)
			} else {
				busy.free(run) // tried again at the next look
			}
		})
	}
	return nil
}

// conduct takes one run as far as it goes. ok: it needs no conductor any more, at this revision of its record.
func (l *leader) conduct(ctx context.Context, run string, fence uint64, poke <-chan struct{}) (revision uint64, ok bool) {
	log := l.log.With("run", run)
	c, err := l.conductor(ctx, run, fence, poke)
	if err == nil {
		err = c.conduct(ctx)
	}
	switch {
	case err == nil:
		return c.record.revision, true
	case ctx.Err() != nil:
	case errors.Is(err, errSuperseded):
		log.Warn("stopped conducting", "reason", err)
	default:
		log.Error("conducting failed; will be tried again", "error", err)
	}
	return 0, false
}

func (l *leader) conductor(ctx context.Context, run string, fence uint64, poke <-chan struct{}) (*conductor, error) {
	kv := l.bus.KV(runstate.Bucket)
	value, _, err := kv.Get(ctx, runstate.SpecKey(run))
	if err != nil {
		return nil, fmt.Errorf("read spec of run %s: %w", run, err)
	}
	var spec config.Run
	if err := json.Unmarshal(value, &spec); err != nil {
		return nil, fmt.Errorf("decode spec of run %s: %w", run, err)
	}
	record, err := openRecord(ctx, kv, run)
	if err != nil {
		return nil, err
	}
	return &conductor{
		bus: l.bus, blobs: l.blobs, settings: l.settings, log: l.log.With("run", run), metrics: l.metrics,
		spec: spec, record: record, fence: fence, seen: newProjection(l.bus, run), poke: poke,
		probes: probes{prober: l.prober},
	}, nil
}

// busy is the runs that have a conductor, each with a channel to wake it, and those that need none any more.
type busy struct {
	mu   sync.Mutex // guards runs and finished
	runs map[string]chan struct{}
	// finished holds the revision of the record: with a later one the run was pruned and came again.
	finished map[string]uint64
}

func newBusy() *busy { return &busy{runs: map[string]chan struct{}{}, finished: map[string]uint64{}} }

func (b *busy) take(run string, revision uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.runs[run] != nil || revision <= b.finished[run] {
		return false
	}
	b.runs[run] = make(chan struct{}, 1)
	return true
}

func (b *busy) finish(run string, revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finished[run] = revision
	delete(b.runs, run)
}

func (b *busy) free(run string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.runs, run)
}

func (b *busy) channel(run string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.runs[run]
}

// poke wakes every conductor.
func (b *busy) poke() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, wake := range b.runs {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}
