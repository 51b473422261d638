package bridge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/policy"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func deployTask(c *pb.Checkpoint) *pb.Task {
	return &pb.Task{Kind: "deploy", Work: &pb.Task_Deploy{Deploy: &pb.Deploy{Checkpoint: c}}}
}

func TestDeploy(t *testing.T) {
	t.Parallel()
	b, server := newBench(t), newAdapterServer(t)
	b.run.Deploy.Endpoint = server.endpoint()
	c := storedCheckpoint(t, b.shelf())
	c.Target = "small"
	for range 2 { // delivered twice
		if err := b.serving().handle(t.Context(), b.task(1, deployTask(c))); err != nil {
			t.Fatal(err)
		}
	}
	events := b.training(1, "small", "deployment")
	if len(events) != 1 || server.loads != 1 {
		t.Fatalf("%d deployments and %d requests to load, want one of each", len(events), server.loads)
	}
	d := events[0].GetDeployment()
	want := policy.WithCheckpoint(policy.New(b.run.Policy), "small-"+c.GetId(), server.endpoint(), "bare", c.GetId(), 16)
	if d.GetPolicy().GetName() != want.GetName() || d.GetPolicy().GetSampling().GetCandidates() != 16 ||
		d.GetPolicy().GetRendering() != pb.Rendering_RENDERING_BARE || d.GetDeployer() != "vllm-lora" {
		t.Errorf("deployment %v, want the policy %v", d, want)
	}
}

// TestCancelledRunIsNotDeployed: nothing is loaded, started or published for it, and nobody is told of a failure.
func TestCancelledRunIsNotDeployed(t *testing.T) {
	t.Parallel()
	b, server := newBench(t), newAdapterServer(t)
	b.run.Deploy.Endpoint = server.endpoint()
	b.saveState(runstate.State{Finished: true})
	if err := b.serving().handle(t.Context(), b.task(1, deployTask(b.putCheckpoint(1)))); err != nil {
		t.Fatal(err)
	}
	if n := len(b.training(1, "own", "deployment")); n != 0 || server.loads != 0 {
		t.Errorf("%d deployments and %d requests to load, want none", n, server.loads)
	}
}

// TestDeployWaitsOnlySoLong: an endpoint that does not answer is asked again, at no attempt's cost, until deploy.timeout is
// over; then the task is a dead letter that says so. A resumed run waits anew.
func TestDeployWaitsOnlySoLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &serving{}
		const within = time.Minute
		c, away := config.Deploy{Timeout: config.Duration(within)}, notYet{errors.New("connection refused")}
		for range 2 {
			for begin := time.Now(); time.Since(begin) < within; <-time.After(askAgain) {
				if err := s.patience("own", c, 1, away); bus.IsPermanent(err) {
					t.Fatalf("given up after %s: %v", time.Since(begin), err)
				}
			}
			err := s.patience("own", c, 1, away)
			if !bus.IsPermanent(err) || !strings.Contains(err.Error(), "deploy.timeout (1m0s): connection refused") {
				t.Errorf("error %v, want to be given up with the reason", err)
			}
		}
	})
}

// TestDeployGivesUp: what fails is tried as often as a training job.
func TestDeployGivesUp(t *testing.T) {
	t.Parallel()
	s := &serving{}
	for delivered := 1; delivered <= maxAttempts; delivered++ {
		err := s.patience("own", config.Deploy{}, delivered, errors.New("out of memory"))
		if bus.IsPermanent(err) != (delivered == maxAttempts) || !strings.Contains(err.Error(), "out of memory") {
			t.Errorf("attempt %d: error %v, want to be given up at attempt %d", delivered, err, maxAttempts)
		}
	}
}

// TestReconcile: a model server that was restarted gets back what the run still uses, and no more.
func TestReconcile(t *testing.T) {
	t.Parallel()
	b, server := newBench(t), newAdapterServer(t)
	b.run.Deploy.Endpoint = server.endpoint()
	var names []string
	for generation := 1; generation <= 4; generation++ {
		c := b.putCheckpoint(generation)
		b.publish(bus.TrainingSubject(b.run.Name, generation, "own", "checkpoint"), generation, &pb.Event{Body: &pb.Event_Checkpoint{Checkpoint: c}})
		if err := b.serving().handle(t.Context(), b.task(generation, deployTask(c))); err != nil {
			t.Fatal(err)
		}
		names = append(names, "own-"+c.GetId())
	}
	b.saveState(runstate.State{Run: b.run.Name, Incumbent: 1})
	server.restart()
	r := &reconciler{bus: b.bus, spec: b.spec, serving: b.serving(), every: time.Minute, log: devstack.TestLog(t)}
	if err := r.reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, true, true} { // the incumbent and the two latest
		if got := server.serves(names[i]); got != want {
			t.Errorf("generation %d is served: %v, want %v", i+1, got, want)
		}
	}
}

func TestReconcileLeavesFinishedRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.saveState(runstate.State{Run: b.run.Name, Finished: true})
	r := &reconciler{bus: b.bus, spec: b.spec, serving: b.serving(), every: time.Minute, log: devstack.TestLog(t)}
	if active, err := r.activeRuns(t.Context()); err != nil || len(active) != 0 {
		t.Errorf("active runs %v (%v), want none", active, err)
	}
}

func TestLatest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		generations []int
		incumbent   int
		want        []int
	}{
		{nil, 0, nil},
		{[]int{1}, 0, []int{1}},
		{[]int{2, 1, 1}, 1, []int{1, 2}},
		{[]int{1, 2, 3, 4}, 1, []int{1, 3, 4}},
		{[]int{1, 2, 3, 4}, 3, []int{3, 4}},
		{[]int{1, 2, 3, 4}, 0, []int{3, 4}},
	}
	for _, test := range tests {
		if got := latest(test.generations, test.incumbent); !slices.Equal(got, test.want) {
			t.Errorf("latest(%v, %d) = %v, want %v", test.generations, test.incumbent, got, test.want)
		}
	}
}

// putCheckpoint stores a checkpoint of own whose content is its generation.
func (b *bench) putCheckpoint(generation int) *pb.Checkpoint {
	b.Helper()
	folder := b.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "adapter"), fmt.Append(nil, generation), 0o600); err != nil {
		b.Fatal(err)
	}
	c, err := readCheckpoint(folder)
	if err != nil {
		b.Fatal(err)
	}
	uri, err := c.upload(b.Context(), b.blobs, "checkpoints/run/1/own")
	if err != nil {
		b.Fatal(err)
	}
	return &pb.Checkpoint{Id: c.id(), Target: "own", Sha256: c.sha256, Uri: uri}
}
