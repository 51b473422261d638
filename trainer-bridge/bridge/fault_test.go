package bridge

import (
	"context"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/fault"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// faulted is a bridge all of whose ways out can break.
type faulted struct {
	*bench

	env    *app.Env // past them
	link   *fault.Link
	store  *fault.Store
	proxy  *fault.Proxy
	server *adapterServer
	starts string // has a line for each start of the trainer
}

func newFaulted(t *testing.T) *faulted {
	t.Helper()
	b, server := newBench(t), newAdapterServer(t)
	f := &faulted{bench: b, server: server, proxy: fault.NewProxy(t, server.URL), starts: filepath.Join(t.TempDir(), "starts")}
	b.trainedBy(copyParts, f.starts)
	b.run.Deploy.Endpoint = f.proxy.URL + "/v1"
	f.env = openRole(t, b)
	b.bus, b.blobs = f.env.Bus, f.env.Blobs
	f.link, f.store = fault.NewLink(t, f.env.Config.Bus.URL), &fault.Store{Store: f.env.Blobs}
	b.record(b.few()...)
	return f
}

// runBehind runs a bridge until it dies: nothing of what it does next reaches anybody.
func (f *faulted) runBehind(t *testing.T) (die func()) {
	t.Helper()
	cfg := f.env.Config
	cfg.Bus.URL = f.link.URL()
	cfg.Bridge.Drain = 3 * time.Second // a job outlives a process that is killed, and here it has so long to end
	env, err := app.Open(t.Context(), "trainer-bridge", cfg, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	env.Blobs = f.store
	end := running(t, env)
	return func() {
		f.link.Cut()
		end()
	}
}

// running runs a bridge until the returned function is called, or the test ends.
func running(t *testing.T, env *app.Env) (die func()) {
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = Run(ctx, env)
	}()
	die = sync.OnceFunc(func() {
		env.Bus.Close()
		stop()
		<-ended
	})
	t.Cleanup(die)
	return die
}

// round has a generation built, trained and deployed.
func (f *faulted) round() (*pb.Mixture, *pb.Checkpoint) {
	f.Helper()
	f.order("build", &pb.Task{Kind: "build", Work: buildTask.Work})
	mixture := f.await("mixture").GetMixture()
	f.order("train-own", &pb.Task{Kind: "train", Work: &pb.Task_Train{Train: &pb.Train{Target: "own", Mixture: mixture}}})
	checkpoint := f.await("checkpoint").GetCheckpoint()
	f.order("deploy-own", deployTask(checkpoint))
	f.await("deployment")
	return mixture, checkpoint
}

// TestFaultsOfBridging: every write of a bridge meets a fault, or is its last or the last before its last. The mixture and
// the checkpoint are those of an undisturbed round, the trainer was started once, the adapter loaded once, and each is told
// once.
func TestFaultsOfBridging(t *testing.T) {
	t.Parallel()
	undisturbed := newFaulted(t)
	undisturbed.runBehind(t)
	wantMixture, wantCheckpoint := undisturbed.round()
	type arm func(*faulted, fault.Kind) <-chan struct{}
	onBus := func(subject, contains string) arm {
		return func(f *faulted, k fault.Kind) <-chan struct{} {
			return f.link.Arm(fault.Write{Subject: subject, Contains: contains}, k)
		}
	}
	training := func(what string) arm { return onBus(bus.TrainingSubject("run", 1, "own", what), "") }
	ack := func(kind string) arm { return onBus("$JS.ACK.TASKS."+kind, "+ACK") }
	blob := func(part string) arm {
		return func(f *faulted, k fault.Kind) <-chan struct{} { return f.store.Arm(part, 0, k) }
	}
	for name, arm := range map[string]arm{
		"part": blob("mixtures/run/1/part-"), "manifest": blob("manifest.json"), "mixture": training("mixture"), "ack of a build": ack("build"),
		"job's progress": training("job"), "checkpoint's file": blob("files/model"), "checkpoint.json": blob("checkpoint.json"),
		"checkpoint": training("checkpoint"), "ack of a training": ack("train"),
		"load": func(f *faulted, k fault.Kind) <-chan struct{} {
			return f.proxy.Arm(http.MethodPost, "load_lora_adapter", k)
		},
		"deployment": training("deployment"), "ack of a deployment": ack("deploy"),
	} {
		for _, k := range fault.All {
			t.Run(name+" "+k.String(), func(t *testing.T) {
				t.Parallel()
				f := newFaulted(t)
				happened := arm(f, k)
				die := f.runBehind(t)
				heir := make(chan struct{})
				go func() {
					defer close(heir)
					select {
					case <-happened:
					case <-t.Context().Done():
						return
					}
					if k.Deadly() {
						die()
						f.proxy.Revive()
						running(t, f.env)
					}
				}()
				mixture, checkpoint := f.round()
				<-heir
				f.settled()
				if mixture.GetManifestSha256() != wantMixture.GetManifestSha256() || checkpoint.GetSha256() != wantCheckpoint.GetSha256() {
					t.Error("another mixture or checkpoint than an undisturbed round's")
				}
				for _, what := range []string{"mixture", "checkpoint", "deployment"} {
					if n := len(f.training(1, "own", what)); n != 1 {
						t.Errorf("%s: told %d times, want once", what, n)
					}
				}
				if n := countLines(t, f.starts); n != 1 {
					t.Errorf("the trainer was started %d times, want once", n)
				}
				if name := "own-" + checkpoint.GetId(); f.server.loads != 1 || !f.server.serves(name) {
					t.Errorf("%d requests to load, served: %v; want one", f.server.loads, f.server.serves(name))
				}
			})
		}
	}
}

// settled waits until no task is left.
func (f *faulted) settled() {
	f.Helper()
	devstack.TestSettled(f, f.bus, bus.TaskSource("build"), bus.TaskSource("train"), bus.TaskSource("deploy"))
}
