package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// openBlobs is a store in a directory of the test's own.
func openBlobs(t testing.TB) blob.Store {
	t.Helper()
	store, err := blob.Open(t.Context(), config.Blob{URL: "file://" + t.TempDir(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// bench is one run on a bus of its own, and a bridge's parts.
type bench struct {
	testing.TB

	bus       *bus.Conn
	blobs     blob.Store
	directory string
	run       config.Run
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return &bench{
		TB: t, bus: devstack.TestBus(t), blobs: openBlobs(t), directory: t.TempDir(),
		run: exampleRun(),
	}
}

// exampleRun is a run as it is submitted: every default is filled in.
func exampleRun() config.Run {
	run := config.DefaultRun()
	run.Name, run.Strategy.Ranker = "run", config.NameLLM
	run.Policy.Endpoint, run.Policy.Model.Model = "http://127.0.0.1:1/v1", "base"
	run.Deploy.Endpoint = run.Policy.Endpoint
	run.Targets = []config.Target{exampleTarget("own", 4), exampleTarget("small", 16)}
	return run
}

func exampleTarget(name string, candidates int) config.Target {
	return config.Target{
		Name: name, Base: name, Driver: config.DriverCommand, Timeout: config.Duration(time.Minute), Candidates: candidates,
	}
}

func (b *bench) spec(context.Context, string) (config.Run, error) { return b.run, nil }

func (b *bench) builder() *builder {
	return &builder{bus: b.bus, blobs: b.blobs, spec: b.spec, log: devstack.TestLog(b), partSize: partSize, metrics: newMetrics(nil)}
}

func (b *bench) shelf() shelf { return shelf{blobs: b.blobs, directory: b.directory} }

func (b *bench) trainer() *trainer {
	return &trainer{
		bus: b.bus, blobs: b.blobs, spec: b.spec, directory: b.directory, shelf: b.shelf(), log: devstack.TestLog(b),
		metrics: newMetrics(nil), drivers: drivers{config.DriverCommand: newCommand(b.directory, devstack.TestLog(b))},
	}
}

func (b *bench) serving() *serving {
	lora := &vllmLora{
		shelf: b.shelf(), models: lister{}, http: http.DefaultClient, key: apiKeys(config.LLM{}), log: devstack.TestLog(b),
	}
	return &serving{bus: b.bus, spec: b.spec, log: devstack.TestLog(b), deployers: deployers{
		config.DeployerVLLMLoRA: lora, config.DeployerCommand: testProgram(b, b.shelf()),
	}}
}

// task is a task of the run as it is delivered the first time.
func (b *bench) task(generation int, t *pb.Task) *worker.Task {
	return &worker.Task{Task: t, Event: &pb.Event{Run: b.run.Name, Generation: int32(generation)}, Delivered: 1}
}

// publish puts an event of the run on the bus.
func (b *bench) publish(subject string, generation int, ev *pb.Event) {
	b.Helper()
	ev.Run, ev.Generation = b.run.Name, int32(generation)
	if _, err := b.bus.Publish(b.Context(), subject, ev); err != nil {
		b.Fatal(err)
	}
}

// training reads all events of a target on TRAINING, in order.
func (b *bench) training(generation int, target, what string) []*pb.Event {
	b.Helper()
	var events []*pb.Event
	for m, err := range b.bus.Read(b.Context(), bus.Training, bus.TrainingSubject(b.run.Name, generation, target, what)) {
		if err != nil {
			b.Fatal(err)
		}
		event, err := m.Event(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		events = append(events, event)
	}
	return events
}

// saveState writes the run's state as the coordinator does.
func (b *bench) saveState(s runstate.State) {
	b.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	kv, key := b.bus.KV(runstate.Bucket), runstate.Key(b.run.Name)
	_, last, err := kv.Get(b.Context(), key)
	if errors.Is(err, bus.ErrNotFound) {
		_, err = kv.Create(b.Context(), key, data)
	} else if err == nil {
		_, err = kv.Update(b.Context(), key, data, last)
	}
	if err != nil {
		b.Fatal(err)
	}
}
