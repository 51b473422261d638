package plan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// saveEvery bounds how often mere progress is written; decisions are written at once.
const saveEvery = 300 * time.Millisecond

// errSuperseded means that another coordinator has written the record: this one must stop conducting.
var errSuperseded = errors.New("another coordinator conducts this run")

// record is a run's state and the revision it was last seen at.
type record struct {
	kv       *bus.KV
	revision uint64
	saved    time.Time
	runstate.State
}

func openRecord(ctx context.Context, kv *bus.KV, run string) (*record, error) {
	value, revision, err := kv.Get(ctx, runstate.Key(run))
	if err != nil {
		return nil, fmt.Errorf("read state of run %s: %w", run, err)
	}
	state, err := runstate.Unmarshal(value)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", run, err)
	}
	return &record{kv: kv, revision: revision, State: state}, nil
}

// save swaps the record in. Losing the swap is errSuperseded, unless the reply to our own swap was lost: then
// what stands there is what we wrote.
func (r *record) save(ctx context.Context) error {
	r.Updated = time.Now().UTC()
	value, err := runstate.Marshal(r.State)
	if err != nil {
		return fmt.Errorf("encode state of run %s: %w", r.Run, err)
	}
	revision, err := r.kv.Update(ctx, runstate.Key(r.Run), value, r.revision)
	if errors.Is(err, bus.ErrConflict) {
		return r.recognise(ctx, value)
	}
	if err != nil {
		return fmt.Errorf("write state of run %s: %w", r.Run, err)
	}
	r.revision, r.saved = revision, time.Now()
	return nil
}

func (r *record) recognise(ctx context.Context, written []byte) error {
	standing, revision, err := r.kv.Get(ctx, runstate.Key(r.Run))
	if err != nil {
		return fmt.Errorf("read back state of run %s: %w", r.Run, err)
	}
	if string(standing) != string(written) {
		return fmt.Errorf("run %s: %w", r.Run, errSuperseded)
	}
	r.revision, r.saved = revision, time.Now()
	return nil
}

// progress is the entry of a phase for a target, made when it is first asked for.
func (r *record) progress(phase, target, purpose string) *runstate.Progress {
	for i := range r.Progress {
		p := &r.Progress[i]
		if p.Generation == r.Generation && p.Phase == phase && p.Target == target {
			return p
		}
	}
	r.Progress = append(r.Progress, runstate.Progress{
		Generation: r.Generation, Target: target, Purpose: purpose, Phase: phase, Started: time.Now().UTC(),
	})
	return &r.Progress[len(r.Progress)-1]
}
