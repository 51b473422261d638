package plan_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/retention"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// A run that is exported while it grows goes on where it was: in another installation, which has never seen its rankers,
// and in its own, under the same coordinator, after it was cancelled and pruned there.
func TestImportedRunGoesOn(t *testing.T) {
	t.Parallel()
	here, there := newRig(t), newRig(t)
	gate := make(chan struct{})
	s := twoGenerations
	s.gate = gate
	here.workers(s)
	here.coordinator()
	here.mustAsk("submit", here.spec(4))
	for range 8 + 3 { // the baseline's, eight, and some of the first generation's
		<-gate
	}
	here.onPhase(1, pb.Phase_PHASE_GROW)
	var file bytes.Buffer
	if _, err := here.installation().Export(here.ctx, runName, &file); err != nil {
		t.Fatal(err)
	}
	stopped := pass(gate)
	defer stopped()

	here.mustAsk("cancel", wish{Run: runName})
	here.untilFinished()
	here.until("nothing in flight", func() bool {
		depth, err := here.conn.Depth(here.ctx, bus.TaskSource("rollout"))
		return err == nil && depth.Waiting+depth.InFlight == 0
	})
	pruner := retention.Pruner{Installation: here.installation()}
	plan, err := pruner.Look(here.ctx, runName)
	if err != nil {
		t.Fatal(err)
	}
	if err := pruner.Prune(here.ctx, plan, "test"); err != nil {
		t.Fatal(err)
	}
	spec := here.spec(4)
	spec.Seed++
	if _, err := here.ask("submit", spec); err == nil || !strings.Contains(err.Error(), "which was pruned") {
		t.Errorf("another run of the name: %v", err)
	}

	there.workers(twoGenerations)
	there.coordinator()
	for name, r := range map[string]*rig{"here": here, "there": there} {
		c, err := archive.Verify(r.ctx, bytes.NewReader(file.Bytes()), archive.Limits{Bytes: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.installation().Import(r.ctx, bytes.NewReader(file.Bytes()), c, archive.Limits{Bytes: 1 << 30}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for name, r := range map[string]*rig{"here": here, "there": there} {
		end := r.untilFinished()
		if _, err := r.conn.Depth(r.ctx, bus.RankSource("mine")); err != nil {
			t.Errorf("%s: nobody could rank: %v", name, err)
		}
		ids := r.logIDs() // a line may be told twice; what is told is that of a run that never moved
		if diff := cmp.Diff(twoGenerationsLog, firsts(ids)); diff != "" {
			t.Errorf("%s: the run's log (-want +got):\n%s", name, diff)
		}
		if got := len(r.events(bus.Trajectories)); got != 32 || end.Usage.Calls != 32*callsPerTrajectory {
			t.Errorf("%s: %d trajectories, %d calls; want 32 and %d", name, got, end.Usage.Calls, 32*callsPerTrajectory)
		}
	}
}

func (r *rig) installation() archive.Installation {
	return archive.Installation{Bus: r.conn, Blobs: r.blobs}
}

// pass lets everything through the gate until it is stopped.
func pass(gate <-chan struct{}) (stop func()) {
	over := make(chan struct{})
	go func() {
		for {
			select {
			case <-gate:
			case <-over:
				return
			}
		}
	}()
	return func() { close(over) }
}

// firsts leaves out what was there before.
func firsts(all []string) (out []string) {
	for _, s := range all {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
