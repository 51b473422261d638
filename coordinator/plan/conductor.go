package plan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// lookEvery bounds how often the counts are looked at while they change.
const lookEvery = 100 * time.Millisecond

// errAgain sends a phase back to its start: it was paused and resumed.
var errAgain = errors.New("start the phase again")

// conductor takes one run through its phases.
type conductor struct {
	bus      *bus.Conn
	blobs    blob.Store
	settings config.Coordinator
	log      *slog.Logger
	metrics  *metrics

	spec   config.Run
	record *record
	seen   *projection
	fence  uint64
	poke   <-chan struct{}

	probes  probes
	control runstate.Control
	heeded  time.Time // when control was read last
}

// next is where a phase leads.
type next struct {
	phase            string
	generation, look int
	// reason ends the run when phase is done.
	reason string
}

// conduct goes on from the record's phase until the run is finished or ctx ends.
func (c *conductor) conduct(ctx context.Context) error {
	if c.record.Finished {
		return nil // without counting it all again
	}
	if err := c.queues(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	following := make(chan struct{})
	defer func() { <-following }()
	defer c.probes.asking.Wait()
	defer cancel(nil)
	go func() {
		defer close(following)
		if err := c.seen.follow(ctx); err != nil {
			cancel(err)
		}
	}()
	for !c.record.Finished {
		phase, ok := phases[c.record.Phase]
		if !ok {
			return fmt.Errorf("unknown phase %q in the record: written by a newer coordinator?", c.record.Phase)
		}
		to, err := phase(c, ctx)
		if errors.Is(err, errAgain) {
			continue
		}
		if err == nil {
			err = c.move(ctx, to)
		}
		if err != nil {
			return fmt.Errorf("phase %s of generation %d: %w", c.record.Phase, c.record.Generation, orCause(ctx, err))
		}
	}
	return nil
}

// orCause prefers why the context ended to the bare fact.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

// enter tells the run's log that a phase has begun for a target, and opens its progress. It may be told again.
func (c *conductor) enter(ctx context.Context, target, purpose string, expected int64) (*runstate.Progress, error) {
	r := c.record
	line := &pb.RunLog{What: "entered", Phase: phaseNumber[r.Phase], Target: target, Expected: expected}
	if err := c.tell(ctx, line, fmt.Sprintf("%s.%s.%d", r.Phase, target, r.Look)); err != nil {
		return nil, err
	}
	p := r.progress(r.Phase, target, purpose)
	p.Expected = max(p.Expected, expected)
	return p, nil
}

// move leaves the phase and enters the next one in a single swap of the record.
func (c *conductor) move(ctx context.Context, to next) error {
	r := c.record
	if err := c.tell(ctx, &pb.RunLog{What: "left", Phase: phaseNumber[r.Phase]}, fmt.Sprintf("%s.%d", r.Phase, r.Look)); err != nil {
		return err
	}
	if to.phase == phaseDone {
		return c.finish(ctx, to.reason)
	}
	now := time.Now().UTC()
	for i := range r.Progress {
		if p := &r.Progress[i]; p.Phase == r.Phase && p.Generation == r.Generation {
			p.Ended = now
		}
	}
	c.log.Info("phase left", "phase", r.Phase, "generation", r.Generation, "took", now.Sub(r.Entered).Round(time.Millisecond), "next", to.phase)
	r.Phase, r.Generation, r.Look, r.Cursor, r.Entered = to.phase, to.generation, to.look, nil, now
	r.Usage = c.seen.spent()
	return r.save(ctx)
}

// finish ends the run for good. The log comes first: the record says so only when the log does.
func (c *conductor) finish(ctx context.Context, reason string) error {
	r := c.record
	if err := c.withdraw(ctx); err != nil {
		return err
	}
	if err := c.tell(ctx, &pb.RunLog{What: "finished", Reason: reason}, "run"); err != nil {
		return err
	}
	now := time.Now().UTC()
	for i := range r.Progress {
		if r.Progress[i].Ended.IsZero() {
			r.Progress[i].Ended = now
		}
	}
	r.Phase, r.Finished, r.Paused, r.Reason, r.Cursor = phaseDone, true, false, reason, nil
	r.Usage = c.seen.spent()
	c.log.Info("finished", "reason", reason)
	return r.save(ctx)
}

func (c *conductor) tell(ctx context.Context, line *pb.RunLog, id string) error {
	line.By, line.Revision = "coordinator", c.fence
	return logLine(ctx, c.bus, c.spec.Name, c.record.Generation, id, line)
}

// await looks until ready, and heeds wishes, budgets and dead letters meanwhile.
func (c *conductor) await(ctx context.Context, ready func() (bool, error)) error {
	for {
		if err := c.heed(ctx); err != nil {
			return err
		}
		ok, err := ready()
		if err != nil || ok {
			return err
		}
		if err := c.saveProgress(ctx); err != nil {
			return err
		}
		if err := c.rest(ctx); err != nil {
			return err
		}
	}
}

// rest waits for a change, a wish or the poll interval, but never less than lookEvery.
func (c *conductor) rest(ctx context.Context) error {
	begin := time.Now()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.seen.changed:
	case <-c.poke:
		c.heeded = time.Time{}
	case <-time.After(c.settings.Poll):
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(lookEvery - time.Since(begin)):
		return nil
	}
}

func (c *conductor) saveProgress(ctx context.Context) error {
	if time.Since(c.record.saved) < saveEvery {
		return nil
	}
	c.record.Usage = c.seen.spent()
	c.metrics.show(c.record.State)
	return c.record.save(ctx)
}
