package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// Installation is a bus and a blob store.
type Installation struct {
	Bus   *bus.Conn
	Blobs blob.Store
}

// models is the bucket of promoted policies.
const models = "models"

func promotedKey(run string) string { return "promoted." + run }

// exporter packs one run.
type exporter struct {
	Installation
	run   string
	state runstate.State
	// forgiven counts the dead letters up to state.DeadSeen.
	forgiven uint64
	refs     References
	out      *packer
}

// Export writes a run to w.
func (in Installation) Export(ctx context.Context, run string, w io.Writer) (Manifest, error) {
	e := &exporter{Installation: in, run: run, refs: References{}}
	state, control, promoted, err := e.records(ctx)
	if err != nil {
		return Manifest{}, fmt.Errorf("export run %s: %w", run, err)
	}
	if e.out, err = newPacker(w, run); err != nil {
		return Manifest{}, fmt.Errorf("export run %s: %w", run, err)
	}
	if err := e.pack(ctx, state, control, promoted); err != nil {
		return Manifest{}, fmt.Errorf("export run %s: %w", run, err)
	}
	return e.out.close()
}

// records reads what must not be newer than the streams.
func (e *exporter) records(ctx context.Context) (state, control []byte, promoted []bus.Revision, err error) {
	runs := e.Bus.KV(runstate.Bucket)
	if state, _, err = runs.Get(ctx, runstate.Key(e.run)); err != nil {
		return nil, nil, nil, fmt.Errorf("read its state: %w", err)
	}
	if e.state, err = runstate.Unmarshal(state); err != nil {
		return nil, nil, nil, err
	}
	if e.state.Pruning {
		return nil, nil, nil, errors.New("it is half pruned, and no longer whole")
	}
	control, _, err = runs.Get(ctx, runstate.ControlKey(e.run))
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return nil, nil, nil, fmt.Errorf("read its control: %w", err)
	}
	promoted, err = e.Bus.KV(models).History(ctx, promotedKey(e.run))
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return nil, nil, nil, fmt.Errorf("read its promotions: %w", err)
	}
	return state, control, promoted, nil
}

func (e *exporter) pack(ctx context.Context, state, control []byte, promoted []bus.Revision) error {
	if err := e.spec(ctx); err != nil {
		return err
	}
	for _, stream := range streams {
		if err := e.stream(ctx, stream); err != nil {
			return err
		}
	}
	if err := e.blobs(ctx); err != nil {
		return err
	}
	for i, p := range promoted {
		if err := e.out.bytes(fmt.Sprintf(promotedNames, i), p.Value); err != nil {
			return err
		}
	}
	if control != nil {
		if err := e.out.bytes(controlName, control); err != nil {
			return err
		}
	}
	if e.state.DeadSeen > 0 { // else its bytes stay what they are
		e.state.DeadSeen = e.forgiven
		var err error
		if state, err = runstate.Marshal(e.state); err != nil {
			return err
		}
	}
	return e.out.bytes(stateName, state)
}

func (e *exporter) spec(ctx context.Context) error {
	text, _, err := e.Bus.KV(runstate.Bucket).Get(ctx, runstate.SpecKey(e.run))
	if err != nil {
		return fmt.Errorf("read its spec: %w", err)
	}
	text = moveText(text, e.Blobs.URI(""), nowhere)
	var spec config.Run
	if err := json.Unmarshal(text, &spec); err != nil {
		return fmt.Errorf("decode its spec: %w", err)
	}
	if err := e.refs.AddSpec(spec, keyOf); err != nil {
		return err
	}
	return e.out.bytes(specName, text)
}

// messages are a run's in a stream. A consumer on the queue of tasks would take them from the workers.
func messages(ctx context.Context, conn *bus.Conn, stream, run string) iter.Seq2[*bus.Message, error] {
	if stream == bus.Tasks {
		return conn.Browse(ctx, stream, bus.RunFilter(stream, run))
	}
	return conn.Read(ctx, stream, bus.RunFilter(stream, run))
}

// stream packs the messages of one stream, a few megabytes in each entry.
func (e *exporter) stream(ctx context.Context, stream string) error {
	var chunk bytes.Buffer
	lines, n := json.NewEncoder(&chunk), 0
	flush := func() error {
		if chunk.Len() == 0 {
			return nil
		}
		defer chunk.Reset()
		n++
		return e.out.bytes(chunkName(stream, n-1), chunk.Bytes())
	}
	for m, err := range messages(ctx, e.Bus, stream, e.run) {
		if err != nil {
			return err
		}
		s, err := e.message(stream, m)
		if err != nil {
			return fmt.Errorf("message %d of %s: %w", m.Seq, stream, err)
		}
		if err := lines.Encode(s); err != nil {
			return fmt.Errorf("encode message %d of %s: %w", m.Seq, stream, err)
		}
		if chunk.Len() >= chunkSize {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// message makes a message one of the archive, and notes what it points at.
func (e *exporter) message(stream string, m *bus.Message) (bus.Stored, error) {
	s, ev, err := move(m.Stored(), outward(e.Blobs))
	if err != nil {
		return s, err
	}
	if err := s.Check(e.run); err != nil {
		return s, err
	}
	if stream == bus.Dead && m.Seq <= e.state.DeadSeen {
		e.forgiven++
	}
	e.out.manifest.Messages[stream]++
	return s, e.refs.AddEvent(e.run, ev, keyOf)
}

// blobs packs what anything points at.
func (e *exporter) blobs(ctx context.Context) error {
	for _, key := range slices.Sorted(maps.Keys(e.refs)) {
		if !isIndex(key) {
			continue
		}
		if err := e.refs.AddIndex(ctx, e.Blobs, e.run, key); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(e.refs)) {
		if err := e.blob(ctx, key); err != nil {
			return fmt.Errorf("blob %s: %w", key, err)
		}
		e.out.manifest.Blobs++
	}
	return nil
}

// blob packs one, unless it is damaged.
func (e *exporter) blob(ctx context.Context, key string) error {
	object, err := e.Blobs.Stat(ctx, key)
	if err != nil {
		return err
	}
	body, err := e.Blobs.Get(ctx, key)
	if err != nil {
		return err
	}
	defer body.Close()
	sum := sha256.New()
	if err := e.out.add(blobsFolder+key, object.Size, io.TeeReader(body, sum)); err != nil {
		return err
	}
	if got, want := hex.EncodeToString(sum.Sum(nil)), e.refs[key]; got != want {
		return fmt.Errorf("its SHA-256 is %s, expected %s: it was damaged or overwritten", got, want)
	}
	return nil
}
