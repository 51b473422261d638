package rollout_test

import (
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/fault"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestFaultsOfPlaying: every write of a worker meets a fault, or is its last or the last before its last. What comes out is
// what one undisturbed worker would have made; no call is paid for twice but the one whose step had no journal to be in.
func TestFaultsOfPlaying(t *testing.T) {
	t.Parallel()
	undisturbed, e := newRig(t, long), newEndpoint(t)
	undisturbed.work(t, 1, 0)
	undisturbed.publish(t, task(e, "a", 1, 1))
	undisturbed.settled(t)
	want := anywhere(undisturbed.completed(t, 1))
	for name, c := range map[string]struct {
		fault.Write
		// repeated is how many calls a worker takes with it that dies before the write.
		repeated int
	}{
		"first step":  {fault.Write{Subject: "ratchet.v1.step.r"}, 1},
		"fourth step": {fault.Write{Subject: "ratchet.v1.step.r", Skip: 3}, 1},
		"last step":   {fault.Write{Subject: "ratchet.v1.step.r", Skip: steps - 1}, 1},
		"trajectory":  {fault.Write{Subject: "ratchet.v1.trajectory.r"}, 0},
		"ack":         {fault.Write{Subject: "$JS.ACK.TASKS.rollout", Contains: "+ACK"}, 0},
	} {
		for _, k := range fault.All {
			t.Run(name+" "+k.String(), func(t *testing.T) {
				t.Parallel()
				e := newEndpoint(t)
				r := newRig(t, 2*time.Second)
				link := fault.NewLink(t, r.cfg.Bus.URL)
				happened := link.Arm(c.Write, k)
				w := r.workThrough(t, link)
				r.publish(t, task(e, "a", 1, 1))
				receive(t, "the fault", happened)
				if k.Deadly() {
					w.kill()
					r.work(t, 1, 0)
				}
				r.settled(t)
				same(t, anywhere(r.completed(t, 1)), want)
				repeated := 0
				if k == fault.DeathBefore {
					repeated = c.repeated
				}
				if all, most := e.calls(); all != steps+repeated || most > 1+repeated {
					t.Errorf("%d calls, up to %d times the same; want %d", all, most, steps+repeated)
				}
				for range r.conn.Read(t.Context(), bus.Dead, bus.RunFilter(bus.Dead, run)) {
					t.Error("a dead letter")
				}
			})
		}
	}
}

// anywhere forgets where the model was: each test has an endpoint of its own.
func anywhere(all map[string]*pb.Trajectory) map[string]*pb.Trajectory {
	for _, got := range all {
		got.GetPolicy().Endpoint = ""
	}
	return all
}

// workThrough starts a worker with one slot behind a link.
func (r *rig) workThrough(t testing.TB, l *fault.Link) *worker {
	t.Helper()
	behind := *r
	behind.cfg.Bus.URL = l.URL()
	return behind.work(t, 1, 0)
}

// TestFaultsOfSplitting: each question of a split shard is played once, whatever happens to the tasks it is split into.
func TestFaultsOfSplitting(t *testing.T) {
	t.Parallel()
	for _, k := range fault.All {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t)
			r := newRig(t, 2*time.Second)
			r.publish(t, task(e, "a", 2, 1))
			for range 3 {
				handBack(t, r)
			}
			link := fault.NewLink(t, r.cfg.Bus.URL)
			happened := link.Arm(fault.Write{Subject: bus.TaskSubject("rollout", run, 1, "a-q1")}, k)
			w := r.workThrough(t, link)
			receive(t, "the fault", happened)
			if k.Deadly() {
				w.kill()
				r.work(t, 1, 0)
			}
			r.settled(t)
			r.completed(t, 2)
			if all, most := e.calls(); all != 2*steps || most != 1 {
				t.Errorf("%d calls, up to %d times the same; want %d, once", all, most, 2*steps)
			}
		})
	}
}

// TestTwinIsFenced: the endpoint says the same to two workers on one trajectory. The one that lost its lease pays for the
// call that it is in and for none after it.
func TestTwinIsFenced(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, long)
	h, fenced := e.hold("answer"), watchFor("another worker has gone on")
	r.work(t, 1, 0, fenced)
	r.publish(t, task(e, "a", 1, 1))
	receive(t, "the first worker's call", h.held)
	// The lease is lost: the task is delivered to somebody else.
	if err := r.conn.Purge(t.Context(), bus.Tasks, bus.RunFilter(bus.Tasks, run)); err != nil {
		t.Fatal(err)
	}
	e.intercept(nil)
	again := task(e, "a", 1, 1)
	again.Id = "again"
	r.publish(t, again)
	r.work(t, 1, 0)
	r.settled(t)
	close(h.free)
	receive(t, "the first worker is fenced", fenced.seen)
	r.completed(t, 1)
	if all, most := e.calls(); all != steps+1 || most != 2 {
		t.Errorf("%d calls, up to %d times the same; want %d, and one of them twice", all, most, steps+1)
	}
}
