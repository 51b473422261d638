package bridge

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// openRole opens the role's environment on a bus of its own, with the run's spec submitted.
func openRole(t *testing.T, b *bench) *app.Env {
	t.Helper()
	cfg := config.Default()
	cfg.Bus = devstack.TestConfig(devstack.TestNATS(t))
	cfg.Blob.URL = "file://" + t.TempDir()
	cfg.Bridge.Directory, cfg.Bridge.Drain = t.TempDir(), 0
	env, err := app.Open(t.Context(), "trainer-bridge", cfg, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(env.Close)
	if err := env.Bus.Apply(t.Context(), bus.NewTopology(cfg.Bus)); err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(b.run)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := env.Bus.KV(runstate.Bucket).Create(t.Context(), runstate.SpecKey(b.run.Name), spec); err != nil {
		t.Fatal(err)
	}
	return env
}

// await waits for the first event of a kind on TRAINING.
func (b *bench) await(what string) *pb.Event {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	var found *pb.Event
	o := bus.FollowOptions{Filters: []string{bus.TrainingSubject(b.run.Name, 1, "own", what)}}
	err := b.bus.Follow(ctx, bus.Training, o, func(m *bus.Message) (err error) {
		found, err = m.Event(ctx)
		cancel()
		return err
	})
	if err != nil || found == nil {
		b.Fatalf("no %s was published (%v)", what, err)
	}
	return found
}

func (b *bench) order(id string, t *pb.Task) {
	b.Helper()
	t.Id = id
	if err := b.bus.PublishTask(b.Context(), b.run.Name, 1, t); err != nil {
		b.Fatal(err)
	}
}

// TestRun is a generation's way through the bridge, by tasks on the bus; then the bridge is stopped in the middle
// of another job.
func TestRun(t *testing.T) {
	t.Parallel()
	b, server, gate := newBench(t), newAdapterServer(t), newGate(t)
	starts := filepath.Join(t.TempDir(), "starts")
	b.trainedBy(copyParts, starts)
	b.run.Targets[1].Command = shellJob(gatedTrainer, gate.directory).target.Command
	b.run.Deploy.Endpoint = server.endpoint()
	env := openRole(t, b)
	b.bus, b.blobs = env.Bus, env.Blobs
	b.record(b.few()...)

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, env) }()

	b.order("build", &pb.Task{Kind: "build", Work: buildTask.Work})
	mixture := b.await("mixture").GetMixture()
	b.order("train-own", &pb.Task{Kind: "train", Work: &pb.Task_Train{Train: &pb.Train{Target: "own", Mixture: mixture}}})
	checkpoint := b.await("checkpoint").GetCheckpoint()
	b.order("deploy-own", deployTask(checkpoint))
	deployment := b.await("deployment").GetDeployment()
	if model := deployment.GetPolicy().GetModel(); !server.serves(model) {
		t.Errorf("the policy's model %q is not served", model)
	}

	b.order("train-small", &pb.Task{Kind: "train", Work: &pb.Task_Train{Train: &pb.Train{Target: "small", Mixture: mixture}}})
	gate.awaitStart()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
	jobs, err := filepath.Glob(filepath.Join(env.Config.Bridge.Directory, "jobs", "small-*"))
	if err != nil || len(jobs) != 1 {
		t.Fatalf("job folders %v (%v), want one", jobs, err)
	}
	if lock, err := folder(jobs[0]).lock(); err != nil {
		t.Errorf("the job outlives the bridge's orderly stop: %v", err)
	} else {
		lock.Close()
	}
}
