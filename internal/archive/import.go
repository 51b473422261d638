package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// importer unpacks one verified archive.
type importer struct {
	Installation
	Contents
	file   io.ReadSeeker
	limits Limits
	// writing: what is missing is written; else it is other content.
	writing bool

	stream string // that is being restored
	there  func() (*bus.Message, error, bool)
	stop   func()
}

// Import unpacks an archive that Verify has read. existing: the very same run was there, and nothing was written.
func (in Installation) Import(ctx context.Context, file io.ReadSeeker, c Contents, limits Limits) (existing bool, err error) {
	i := &importer{Installation: in, Contents: c, file: file, limits: limits, stop: func() {}}
	defer func() { i.stop() }()
	if existing, err = i.existing(ctx); err == nil && !existing {
		i.writing = true
		err = i.write(ctx)
	}
	if err != nil {
		return existing, fmt.Errorf("import run %s: %w", c.Run, err)
	}
	return existing, nil
}

func (i *importer) runs() *bus.KV { return i.Bus.KV(runstate.Bucket) }

// spec is the run's spec with the URIs of this store.
func (i *importer) spec() []byte { return moveText(i.specText, nowhere, i.Blobs.URI("")) }

// existing says whether the run is there, whole and the same, and refuses one that is there and is not.
func (i *importer) existing(ctx context.Context) (bool, error) {
	text, _, err := i.runs().Get(ctx, runstate.Key(i.Run))
	if errors.Is(err, bus.ErrNotFound) {
		return false, i.vacant(ctx)
	}
	if err != nil {
		return false, err
	}
	state, err := runstate.Unmarshal(text)
	if err != nil {
		return false, err
	}
	if state.Pruning {
		return false, fmt.Errorf("%w, half pruned; `ratchet prune %s` finishes that", ErrOther, i.Run)
	}
	spec, _, err := i.runs().Get(ctx, runstate.SpecKey(i.Run))
	if err != nil {
		return false, err
	}
	if !bytes.Equal(spec, i.spec()) {
		return false, fmt.Errorf("%w: its spec differs", ErrOther)
	}
	return true, i.walkStreams(ctx, func(stream string) bool { return stream != bus.Tasks && stream != bus.Steps })
}

// vacant says why a run without a state cannot be imported: a name that was another's, or leftovers.
func (i *importer) vacant(ctx context.Context) error {
	spec, _, err := i.runs().Get(ctx, runstate.SpecKey(i.Run))
	switch {
	case err == nil && !bytes.Equal(spec, i.spec()):
		return fmt.Errorf("%w: its spec differs", ErrOther)
	case err == nil:
		return nil // an import that was cut; what is there is compared as it goes
	case !errors.Is(err, bus.ErrNotFound):
		return err
	}
	if err := i.nameIsFree(ctx); err != nil {
		return err
	}
	for _, stream := range streams {
		empty, err := i.Bus.Empty(ctx, stream, bus.RunFilter(stream, i.Run))
		if err != nil {
			return err
		}
		if !empty {
			return fmt.Errorf("%w: it has no spec, but messages in %s; `ratchet prune %s` removes them", ErrOther, stream, i.Run)
		}
	}
	return nil
}

// nameIsFree says whether the name is this run's to take, if another had it.
func (i *importer) nameIsFree(ctx context.Context) error {
	text, _, err := i.runs().Get(ctx, runstate.PrunedKey(i.Run))
	if errors.Is(err, bus.ErrNotFound) {
		return nil
	}
	var pruned runstate.Pruned
	if err == nil {
		err = json.Unmarshal(text, &pruned)
	}
	if err == nil {
		err = pruned.Allows(i.spec())
	}
	return err
}

// write writes everything, the spec first, so that nobody collects the blobs, and the state last.
func (i *importer) write(ctx context.Context) error {
	if err := i.create(ctx, runstate.SpecKey(i.Run), i.spec()); err != nil {
		return err
	}
	if err := i.walk(ctx, i.blob); err != nil {
		return err
	}
	if err := i.walkStreams(ctx, func(stream string) bool { return stream != bus.Tasks }); err != nil {
		return err
	}
	if err := i.walk(ctx, i.tasks); err != nil {
		return err
	}
	if err := i.promote(ctx); err != nil {
		return err
	}
	if i.control != nil {
		if err := i.create(ctx, runstate.ControlKey(i.Run), i.control); err != nil {
			return err
		}
	}
	state, err := i.stateHere(ctx)
	if err != nil {
		return err
	}
	return i.create(ctx, runstate.Key(i.Run), state)
}

// walk goes through the archive once more.
func (i *importer) walk(ctx context.Context, visit func(context.Context, *entry) error) error {
	_, err := walk(ctx, i.file, i.limits, func(e *entry) error { return visit(ctx, e) })
	return err
}

// blob keeps a blob, or finds that the very same is there.
func (i *importer) blob(ctx context.Context, e *entry) error {
	switch {
	case e.key == "":
		return nil
	case IsShared(e.key): // its name says what it is; what is there is made young again
		_, err := i.Blobs.PutIfAbsent(ctx, e.key, e.body, e.size)
		return err
	}
	standing, err := i.Blobs.Get(ctx, e.key)
	if errors.Is(err, blob.ErrNotFound) {
		created, err := i.Blobs.PutIfAbsent(ctx, e.key, e.body, e.size)
		if err == nil && !created {
			err = errors.New("somebody else has written it in the meantime; import again")
		}
		return err
	}
	if err != nil {
		return err
	}
	defer standing.Close()
	same, err := equal(standing, e.body)
	if err == nil && !same {
		err = fmt.Errorf("%w: the blob %s has other content", ErrOther, e.key)
	}
	return err
}

// equal compares two contents.
func equal(a, b io.Reader) (bool, error) {
	const step = 64 << 10
	x, y := make([]byte, step), make([]byte, step)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		for _, err := range []error{errA, errB} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return false, err
			}
		}
		if errA != nil || errB != nil {
			return (errA != nil) == (errB != nil), nil
		}
	}
}

// create writes a record, or finds it there.
func (i *importer) create(ctx context.Context, key string, value []byte) error {
	_, err := i.runs().Create(ctx, key, value)
	if !errors.Is(err, bus.ErrConflict) {
		return err
	}
	standing, _, err := i.runs().Get(ctx, key)
	if err == nil && !bytes.Equal(standing, value) {
		err = fmt.Errorf("%w: %s differs", ErrOther, key)
	}
	return err
}

// walkStreams compares the streams that are wanted with what is there, and restores what is missing.
func (i *importer) walkStreams(ctx context.Context, wanted func(stream string) bool) error {
	defer func() { i.stop() }()
	return i.walk(ctx, func(ctx context.Context, e *entry) error {
		if e.stream == "" || !wanted(e.stream) {
			return nil
		}
		if i.stream != e.stream {
			i.stop()
			i.stream = e.stream
			i.there, i.stop = iter.Pull2(messages(ctx, i.Bus, e.stream, i.Run))
		}
		return e.messages(i.Run, func(s bus.Stored) error { return i.message(ctx, s) })
	})
}

// message restores a message, unless it is there: what is there comes in the archive's order.
func (i *importer) message(ctx context.Context, s bus.Stored) error {
	s, _, err := move(s, inward(i.Blobs))
	if err != nil {
		return err
	}
	standing, err, ok := i.there()
	switch {
	case ok && err != nil:
		return err
	case ok && !standing.Stored().Equal(s):
		return fmt.Errorf("%w: message %d of %s, on %s, is not the archive's", ErrOther, standing.Seq, i.stream, standing.Subject)
	case ok:
		return nil
	case !i.writing:
		return fmt.Errorf("%w: %s lacks what is on %s", ErrOther, i.stream, s.Subject)
	}
	return i.Bus.Restore(ctx, s)
}

// tasks puts the tasks on the queue. One that was done since an import that was cut is done again, and finds its results.
func (i *importer) tasks(ctx context.Context, e *entry) error {
	if e.stream != bus.Tasks {
		return nil
	}
	return e.messages(i.Run, func(s bus.Stored) error {
		s, _, err := move(s, inward(i.Blobs))
		if err != nil {
			return err
		}
		return i.Bus.Restore(ctx, s)
	})
}

// promote writes the promotions in their order, after those that are there.
func (i *importer) promote(ctx context.Context) error {
	kv, key := i.Bus.KV(models), promotedKey(i.Run)
	there, err := kv.History(ctx, key)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return err
	}
	var last uint64
	for n, value := range i.promoted {
		switch {
		case n < len(there) && bytes.Equal(there[n].Value, value):
			last = there[n].Revision
		case n < len(there):
			return fmt.Errorf("%w: another policy was promoted", ErrOther)
		case n == 0:
			last, err = kv.Create(ctx, key, value)
		default:
			last, err = kv.Update(ctx, key, value, last)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stateHere is the state with the number that the last forgiven dead letter has here.
func (i *importer) stateHere(ctx context.Context) ([]byte, error) {
	if i.State.DeadSeen == 0 {
		return i.state, nil
	}
	state, left := i.State, i.State.DeadSeen
	state.DeadSeen = 0
	for m, err := range messages(ctx, i.Bus, bus.Dead, i.Run) {
		if err != nil {
			return nil, err
		}
		state.DeadSeen = m.Seq
		if left--; left == 0 {
			break
		}
	}
	return runstate.Marshal(state)
}

// Commands are what the bridge runs for a run that goes on.
func (c Contents) Commands() []string {
	var all []string
	for _, target := range c.Spec.Targets {
		text, _ := json.Marshal(target.Command) // texts always can be
		all = append(all, string(text))
	}
	if server := c.Spec.Deploy.Command; len(server) > 0 {
		text, _ := json.Marshal(server)
		all = append(all, string(text))
	}
	return all
}
