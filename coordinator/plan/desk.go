package plan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	"github.com/ratchet-rl/ratchet/internal/sizing"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Version of the requests served under ratchet.v1.api.
const Version = "1.0.0"

// ErrRefused marks a request that was understood and may not be done.
var ErrRefused = errors.New("refused")

// desk serves the operator's requests. It only writes what it was told (spec, control); conducting is the
// leader's, so any replica may answer.
type desk struct {
	bus *bus.Conn
	// store is the directory of the server's store, if it is on a disk of ours.
	store string
	// changed has room for one token: something was written.
	changed chan struct{}
}

func newDesk(conn *bus.Conn, store string) *desk {
	return &desk{bus: conn, store: store, changed: make(chan struct{}, 1)}
}

func (d *desk) serve(ctx context.Context) error {
	return d.bus.Serve(ctx, "coordinator", Version, map[string]func(context.Context, []byte) ([]byte, error){
		"submit": answer(d.submit),
		"pause":  answer(d.wish(runstate.WantPause)),
		"resume": answer(d.wish(runstate.WantRun)),
		"cancel": answer(d.wish(runstate.WantCancel)),
		"kind":   answer(d.kind),
	})
}

// answer makes a JSON endpoint of a typed function.
func answer[In, Out any](do func(context.Context, In) (Out, error)) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, body []byte) ([]byte, error) {
		var in In
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&in); err != nil {
			return nil, fmt.Errorf("%w: decode request: %w", ErrRefused, err)
		}
		out, err := do(ctx, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
}

// submission is a run, and whether to take it although the bus has no room for it.
type submission struct {
	config.Run

	Force bool `json:"force,omitempty"`
}

type submitted struct {
	Run string `json:"run"`
	// Created is false when the very same run was there already.
	Created bool `json:"created"`
	// Needs is what the run will put on the bus, by stream.
	Needs []sizing.Need `json:"needs,omitempty"`
}

// submit writes the spec first and the state last: a run without a state does not exist yet, and submitting it
// again finishes what a crash between the two left.
func (d *desk) submit(ctx context.Context, in submission) (submitted, error) {
	spec := in.Run
	if config.Token(spec.Name) != spec.Name || spec.Name == "" {
		return submitted{}, fmt.Errorf("%w: run name %q: use a-z, 0-9 and dashes", ErrRefused, spec.Name)
	}
	if err := spec.Validate(); err != nil {
		return submitted{}, fmt.Errorf("%w: run %s: %w", ErrRefused, spec.Name, err)
	}
	for what, source := range map[string]config.Source{"questions": spec.Questions, "evaluation questions": spec.Evaluation.Set} {
		if source.URI == "" || source.Count == 0 {
			return submitted{}, fmt.Errorf("%w: run %s has no %s in the blob store; submit it with `ratchet submit`", ErrRefused, spec.Name, what)
		}
	}
	kv := d.bus.KV(runstate.Bucket)
	value, err := runstate.Marshal(spec)
	if err != nil {
		return submitted{}, fmt.Errorf("encode spec: %w", err)
	}
	if err := nameIsFree(ctx, kv, spec.Name, value); err != nil {
		return submitted{}, err
	}
	needs, err := d.fit(ctx, kv, spec, in.Force)
	if err != nil {
		return submitted{}, err
	}
	if err := createOnce(ctx, kv, runstate.SpecKey(spec.Name), value); err != nil {
		return submitted{}, err
	}
	now := time.Now().UTC()
	state, err := runstate.Marshal(runstate.State{Run: spec.Name, Phase: phasePlan, Started: now, Entered: now, Updated: now})
	if err != nil {
		return submitted{}, fmt.Errorf("encode state: %w", err)
	}
	_, err = kv.Create(ctx, runstate.Key(spec.Name), state)
	if errors.Is(err, bus.ErrConflict) {
		return submitted{Run: spec.Name, Needs: needs}, nil
	}
	if err != nil {
		return submitted{}, fmt.Errorf("write state: %w", err)
	}
	d.wake()
	return submitted{Run: spec.Name, Created: true, Needs: needs}, nil
}

// fit says what the run needs on the bus, and refuses one that would stop in the middle because the store is full. A
// run that is there already has its room or has been forced.
func (d *desk) fit(ctx context.Context, kv *bus.KV, spec config.Run, force bool) ([]sizing.Need, error) {
	room, err := sizing.Look(ctx, d.bus, d.store)
	if err != nil {
		return nil, fmt.Errorf("look for room for run %s: %w", spec.Name, err)
	}
	needs := sizing.Of(spec, room.Streams)
	lack := room.Lack(needs)
	if lack == "" || force {
		return needs, nil
	}
	if _, _, err := kv.Get(ctx, runstate.SpecKey(spec.Name)); !errors.Is(err, bus.ErrNotFound) {
		return needs, err
	}
	return nil, fmt.Errorf("%w: run %s does not fit on the bus:\n%s\nor take fewer questions, samples or repetitions, or submit it with --force", ErrRefused, spec.Name, lack)
}

// nameIsFree refuses the name of a run that was pruned, unless it is the very same run again: workers remember specs by
// the run's name.
func nameIsFree(ctx context.Context, kv *bus.KV, run string, spec []byte) error {
	text, _, err := kv.Get(ctx, runstate.PrunedKey(run))
	if errors.Is(err, bus.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", runstate.PrunedKey(run), err)
	}
	var pruned runstate.Pruned
	if err := json.Unmarshal(text, &pruned); err != nil {
		return fmt.Errorf("decode %s: %w", runstate.PrunedKey(run), err)
	}
	if err := pruned.Allows(spec); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// createOnce writes the value, or finds that the same one stands there.
func createOnce(ctx context.Context, kv *bus.KV, key string, value []byte) error {
	_, err := kv.Create(ctx, key, value)
	if !errors.Is(err, bus.ErrConflict) {
		return err
	}
	standing, _, err := kv.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	if !bytes.Equal(standing, value) {
		return fmt.Errorf("%w: %s is there with other content; choose another name", ErrRefused, key)
	}
	return nil
}

type request struct {
	Run    string          `json:"run"`
	Reason string          `json:"reason"`
	By     string          `json:"by"`
	Calls  int64           `json:"calls"`
	Tokens int64           `json:"tokens"`
	Wall   config.Duration `json:"wall"`
	Cost   float64         `json:"cost"`
}

// wish writes what the operator wants of a run; its conductor reads it.
func (d *desk) wish(want string) func(context.Context, request) (runstate.Control, error) {
	return func(ctx context.Context, r request) (runstate.Control, error) {
		kv := d.bus.KV(runstate.Bucket)
		value, _, err := kv.Get(ctx, runstate.Key(r.Run))
		if err != nil {
			return runstate.Control{}, fmt.Errorf("run %s: %w", r.Run, err)
		}
		state, err := runstate.Unmarshal(value)
		if err != nil {
			return runstate.Control{}, err
		}
		control, revision, err := readControl(ctx, kv, r.Run)
		switch {
		case err != nil:
			return runstate.Control{}, err
		case state.Finished && want == runstate.WantCancel && control.Want == want:
			return control, nil // asked again, because the answer was lost
		case state.Finished:
			return runstate.Control{}, fmt.Errorf("%w: run %s is finished: %s", ErrRefused, r.Run, state.Reason)
		}
		control.Want, control.Reason, control.By = want, r.Reason, r.By
		control.Calls, control.Tokens = max(control.Calls, r.Calls), max(control.Tokens, r.Tokens)
		control.Wall, control.Cost = max(control.Wall, time.Duration(r.Wall)), max(control.Cost, r.Cost)
		control.Serial++
		if err := writeControl(ctx, kv, r.Run, control, revision); err != nil {
			return runstate.Control{}, err
		}
		d.wake()
		return control, nil
	}
}

type kindRequest struct {
	Name string `json:"name"`
}

// kind makes the queue of a plug-in's task kind.
func (d *desk) kind(ctx context.Context, r kindRequest) (kindRequest, error) {
	if r.Name == "" || config.Token(r.Name) != r.Name {
		return r, fmt.Errorf("%w: kind %q: use a-z, 0-9 and dashes", ErrRefused, r.Name)
	}
	return r, d.bus.AddKind(ctx, r.Name)
}

func (d *desk) wake() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// readControl is the operator's last wish, or that the run should run.
func readControl(ctx context.Context, kv *bus.KV, run string) (runstate.Control, uint64, error) {
	value, revision, err := kv.Get(ctx, runstate.ControlKey(run))
	if errors.Is(err, bus.ErrNotFound) {
		return runstate.Control{Want: runstate.WantRun}, 0, nil
	}
	if err != nil {
		return runstate.Control{}, 0, fmt.Errorf("read control of run %s: %w", run, err)
	}
	var control runstate.Control
	if err := json.Unmarshal(value, &control); err != nil {
		return control, 0, fmt.Errorf("decode control of run %s: %w", run, err)
	}
	return control, revision, nil
}

func writeControl(ctx context.Context, kv *bus.KV, run string, control runstate.Control, revision uint64) error {
	value, err := runstate.Marshal(control)
	if err != nil {
		return fmt.Errorf("encode control of run %s: %w", run, err)
	}
	if revision == 0 {
		_, err = kv.Create(ctx, runstate.ControlKey(run), value)
	} else {
		_, err = kv.Update(ctx, runstate.ControlKey(run), value, revision)
	}
	if err != nil {
		return fmt.Errorf("write control of run %s: %w", run, err)
	}
	return nil
}

// logLine publishes one line of the run's log. Its id says what it is, so that a line told twice is one line.
func logLine(ctx context.Context, conn *bus.Conn, run string, generation int, id string, line *pb.RunLog) error {
	_, err := conn.Publish(ctx, bus.RunSubject(run, line.GetWhat()), &pb.Event{
		Id: fmt.Sprintf("%s.%d.%s.%s", run, generation, line.GetWhat(), id), Run: run, Generation: int32(generation),
		Body: &pb.Event_RunLog{RunLog: line},
	})
	if err != nil {
		return fmt.Errorf("log %s of run %s: %w", line.GetWhat(), run, err)
	}
	return nil
}
