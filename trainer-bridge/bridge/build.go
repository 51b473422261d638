package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// specOf reads a run's spec.
type specOf func(ctx context.Context, run string) (config.Run, error)

// builder serves build tasks: a sealed generation becomes a mixture.
type builder struct {
	bus      *bus.Conn
	blobs    blob.Store
	spec     specOf
	log      *slog.Logger
	partSize int
	metrics  *metrics
}

// handle builds a generation's mixture: parts, then the manifest, then the event. A crash between any two is
// mended by doing it all again, since the same trajectories give the same bytes under the same keys.
func (b *builder) handle(ctx context.Context, t *worker.Task) error {
	subject := bus.TrainingSubject(t.Run(), t.Generation(), config.OwnTarget, "mixture")
	if done, err := isPublished(ctx, b.bus, subject); done || err != nil {
		return err
	}
	spec, err := b.spec(ctx, t.Run())
	if err != nil {
		return err
	}
	a, err := b.newAssembly(ctx, spec, t.Generation())
	if err != nil {
		return err
	}
	manifest, err := a.assemble(ctx)
	if err != nil {
		return fmt.Errorf("assemble mixture: %w", err)
	}
	mixture, err := b.seal(ctx, manifest)
	if err != nil {
		return err
	}
	b.metrics.examples.Add(float64(mixture.GetExamples()))
	b.log.Info("built mixture", "run", t.Run(), "generation", t.Generation(), "mixture", mixture.GetId(),
		"examples", mixture.GetExamples(), "trajectories", mixture.GetTrajectories(), "reason", mixture.GetReason())
	return publish(ctx, b.bus, subject, &pb.Event{
		Run: t.Run(), Generation: int32(t.Generation()), Body: &pb.Event_Mixture{Mixture: mixture},
	})
}

func (b *builder) newAssembly(ctx context.Context, spec config.Run, generation int) (*assembly, error) {
	heldOut, err := readHeldOut(ctx, b.blobs, spec.Evaluation)
	if err != nil {
		return nil, fmt.Errorf("read what is held out: %w", err)
	}
	strategy, err := newStrategy(ctx, b.blobs, spec.Strategy)
	if err != nil {
		return nil, fmt.Errorf("make strategy: %w", err)
	}
	return &assembly{
		bus: b.bus, blobs: b.blobs, log: b.log, spec: spec, generation: generation, partSize: b.partSize,
		heldOut: heldOut, strategy: strategy,
	}, nil
}

// seal writes the manifest, which makes the parts a mixture. The first manifest stands for ever.
func (b *builder) seal(ctx context.Context, m *Manifest) (*pb.Mixture, error) {
	data, err := m.encode()
	if err != nil {
		return nil, err
	}
	key := path.Join(mixtureKey(m.Run, m.Generation), "manifest.json")
	created, err := b.blobs.PutIfAbsent(ctx, key, bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("store manifest: %w", err)
	}
	if !created {
		if err := b.compare(ctx, key, data); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(data)
	sha := hex.EncodeToString(sum[:])
	return &pb.Mixture{
		Id: sha[:16], ManifestUri: b.blobs.URI(key), ManifestSha256: sha,
		Examples: m.Examples, Trajectories: m.Trajectories, ExamplesByKind: m.ExamplesByKind, Changed: m.Changed,
		Dropped: m.Dropped, Strategy: m.Strategy, Ranker: m.Ranker, Bytes: m.bytes(), Reason: m.Reason,
	}, nil
}

// compare tells a repeated build, whose bytes are there already, from one of other content.
func (b *builder) compare(ctx context.Context, key string, data []byte) error {
	there, err := blob.ReadAll(ctx, b.blobs, key, maxManifest)
	if err != nil {
		return fmt.Errorf("read manifest that is there: %w", err)
	}
	if !bytes.Equal(there, data) {
		return worker.Permanent(fmt.Errorf("conflict: %s describes another mixture (%x there, %x now): trajectories, "+
			"feedback or spec have changed since it was written; the one that is there stands",
			b.blobs.URI(key), sha256.Sum256(there), sha256.Sum256(data)))
	}
	return nil
}

// isPublished tells whether a result is on TRAINING already: then its task was redelivered and is done.
func isPublished(ctx context.Context, conn *bus.Conn, subject string) (bool, error) {
	_, err := conn.First(ctx, bus.Training, subject)
	if errors.Is(err, bus.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the result on %s: %w", subject, err)
	}
	return true, nil
}

func publish(ctx context.Context, conn *bus.Conn, subject string, ev *pb.Event) error {
	if _, err := conn.Publish(ctx, subject, ev); err != nil {
		return fmt.Errorf("publish on %s: %w", subject, err)
	}
	return nil
}
