package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// One coordinator after the other dies on entering a phase, and the next one, with a connection of its own, goes
// on: the outcome is that of a run where nobody died.
func TestKilledInEveryPhase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.workers(twoGenerations)
	kill := r.coordinator()
	r.mustAsk("submit", r.spec(4))
	for _, generation := range []int{0, 1, 2} {
		phases := []pb.Phase{
			pb.Phase_PHASE_GROW, pb.Phase_PHASE_RANK, pb.Phase_PHASE_BUILD, pb.Phase_PHASE_TRAIN, pb.Phase_PHASE_DEPLOY,
			pb.Phase_PHASE_EVALUATE, pb.Phase_PHASE_DECIDE,
		}
		if generation == 0 {
			phases = []pb.Phase{pb.Phase_PHASE_PLAN, pb.Phase_PHASE_BASELINE}
		}
		for _, phase := range phases {
			r.onPhase(generation, phase)
			kill()
			kill = r.coordinator()
		}
	}
	r.untilFinished()
	checkTwoGenerations(t, r)
}

// Two coordinators, one lease: every line of the log is by the same leader, and the other finishes when it goes.
func TestTwoCoordinators(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate := make(chan struct{})
	s := twoGenerations
	s.gate = gate
	r.workers(s)
	kill := r.coordinator()
	r.mustAsk("submit", r.spec(4))
	r.onPhase(0, pb.Phase_PHASE_BASELINE)
	r.coordinator()
	for range 8 { // trajectories: the baseline's and some of the first generation's
		<-gate
	}
	r.onPhase(1, pb.Phase_PHASE_GROW)
	if got := fences(r); len(got) != 1 {
		t.Errorf("fences in the log: got %v, want one leader's", got)
	}
	kill()
	for range 32 - 8 {
		<-gate
	}
	go drain(r, gate) // a repeated shard passes the gate once more for each of its questions
	r.untilFinished()
	if got := fences(r); len(got) != 2 || got[0] >= got[1] {
		t.Errorf("fences in the log: got %v, want two leaders', one after the other", got)
	}
	checkTwoGenerations(t, r)
}

// The lease goes to another coordinator while its holder lives on and does not know yet: for a while two conduct,
// and the swaps of the record decide between them.
func TestStolenLease(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.workers(twoGenerations)
	r.coordinator()
	r.coordinator()
	r.mustAsk("submit", r.spec(4))
	for _, generation := range []int{1, 2} {
		for _, phase := range []pb.Phase{pb.Phase_PHASE_GROW, pb.Phase_PHASE_TRAIN, pb.Phase_PHASE_EVALUATE} {
			r.onPhase(generation, phase)
			if err := r.conn.KV("leases").Delete(r.ctx, "coordinator"); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.untilFinished()
	checkTwoGenerations(t, r)
}

func drain(r *rig, gate <-chan struct{}) {
	for {
		select {
		case <-gate:
		case <-r.ctx.Done():
			return
		}
	}
}

// fences are the leaders that wrote the run's log, in order.
func fences(r *rig) (all []uint64) {
	r.t.Helper()
	for _, e := range r.events(bus.Runs) {
		all = append(all, e.GetRunLog().GetRevision())
	}
	return slices.Compact(all)
}

func TestSubmitTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.workers(twoGenerations)
	r.coordinator()
	spec := r.spec(4)
	for i, want := range []string{`{"run":"r","created":true,"needs":[`, `{"run":"r","created":false,"needs":[`} {
		if got, err := r.ask("submit", spec); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("submission %d: got %s, %v; want %s", i+1, got, err, want)
		}
	}
	other := spec
	other.Seed = 2
	if _, err := r.ask("submit", other); err == nil {
		t.Error("other content under the same name: got no error")
	}
	r.untilFinished()
	if got, err := r.ask("submit", spec); err != nil || !strings.HasPrefix(string(got), `{"run":"r","created":false`) {
		t.Errorf("submitted when finished: got %s, %v", got, err)
	}
	checkTwoGenerations(t, r)
}
