package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// depth is the rollout tasks that wait.
func (r *rig) depth() uint64 {
	r.t.Helper()
	d, err := r.conn.Depth(r.ctx, bus.TaskSource("rollout"))
	if err != nil {
		r.t.Fatal(err)
	}
	return d.Waiting
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	kill := r.coordinator()
	r.mustAsk("submit", r.spec(4))
	r.until("tasks wait", func() bool { return r.depth() > 0 })
	r.mustAsk("pause", wish{Run: runName, Reason: "lunch"})
	if s := r.untilPaused(); s.Reason != "lunch" {
		t.Errorf("reason: got %q, want lunch", s.Reason)
	}
	if got := r.depth(); got != 0 {
		t.Errorf("tasks that wait in a pause: got %d, want 0", got)
	}
	kill()
	r.coordinator() // a pause outlives its coordinator
	r.workers(twoGenerations)
	r.mustAsk("resume", wish{Run: runName})
	if s := r.untilFinished(); s.Incumbent != 1 {
		t.Errorf("incumbent: got %d, want 1", s.Incumbent)
	}
	for _, id := range []string{"r.0.paused.baseline.1.1", "r.0.resumed.2"} {
		if !slices.Contains(r.logIDs(), id) {
			t.Errorf("the log lacks %s: %v", id, r.logIDs())
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for name, paused := range map[string]bool{"running": false, "paused": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.coordinator()
			r.mustAsk("submit", r.spec(4))
			r.until("tasks wait", func() bool { return r.depth() > 0 })
			if paused {
				r.mustAsk("pause", wish{Run: runName})
				r.untilPaused()
			}
			r.mustAsk("cancel", wish{Run: runName, Reason: "wrong data"})
			if s := r.untilFinished(); s.Reason != "cancelled: wrong data" || s.Paused {
				t.Errorf("got %q, paused %t", s.Reason, s.Paused)
			}
			if got := r.depth(); got != 0 {
				t.Errorf("tasks that wait: got %d, want 0", got)
			}
			if _, err := r.ask("resume", wish{Run: runName}); err == nil || !strings.Contains(err.Error(), "finished: cancelled") {
				t.Errorf("resume: got %v, want that the run is finished", err)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.coordinator()
	spec := func(change func(*config.Run)) config.Run {
		s := r.spec(4)
		change(&s)
		return s
	}
	for name, tt := range map[string]struct {
		endpoint string
		in       any
		want     string
	}{
		"unknown run":             {"pause", wish{Run: "nobody"}, "not found"},
		"unknown field":           {"pause", map[string]string{"run": "r", "colour": "red"}, "colour"},
		"no object":               {"submit", "r", "decode request"},
		"bad kind":                {"kind", map[string]string{"name": "Shout.Loud"}, "a-z"},
		"bad run name":            {"submit", spec(func(s *config.Run) { s.Name = "R 1" }), "a-z"},
		"questions not in store":  {"submit", spec(func(s *config.Run) { s.Questions.URI = "" }), "no questions"},
		"evaluation not in store": {"submit", spec(func(s *config.Run) { s.Evaluation.Set.URI = "" }), "no evaluation questions"},
		"no samples":              {"submit", spec(func(s *config.Run) { s.Grow.Samples = nil }), "samples"},
	} {
		t.Run(name, func(t *testing.T) { // one rig for all: not parallel
			if _, err := r.ask(tt.endpoint, tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// A run that would fill the store before its end is refused with the numbers, unless it is forced; nothing is written
// of one that is refused.
func TestRunMustFitOnTheBus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.coordinator()
	spec := r.spec(4)
	spec.Questions.Count = 1_000_000
	for range 2 {
		_, err := r.ask("submit", spec)
		for _, want := range []string{"run r does not fit", "TRAJECTORIES (3000", "1.0 GiB are free", "raise bus.max_bytes to ", "--force"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an error with %q", err, want)
			}
		}
	}
	if s := r.state(); s.Run != "" {
		t.Errorf("a refused run has a state: %+v", s)
	}
	forced := struct {
		config.Run

		Force bool `json:"force"`
	}{spec, true}
	r.mustAsk("submit", forced)
	r.mustAsk("submit", spec) // it is there: nothing is asked for
}

func TestCallBudget(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.workers(twoGenerations)
	r.coordinator()
	spec := r.spec(4)
	spec.Budgets.Calls = 5
	r.mustAsk("submit", spec)
	if s := r.untilPaused(); !strings.Contains(s.Reason, "budget of 5 calls is spent") || !strings.Contains(s.Reason, "ratchet resume r --calls N") {
		t.Errorf("reason: got %q", s.Reason)
	}
	r.mustAsk("resume", wish{Run: runName}) // raises nothing
	r.until("it is paused again", func() bool { s := r.state(); return s.Paused && s.ControlSeen == 1 })
	r.mustAsk("resume", wish{Run: runName, Calls: 1000})
	if s := r.untilFinished(); s.Usage.Calls != callsPerTrajectory*32 {
		t.Errorf("calls: got %d, want %d", s.Usage.Calls, callsPerTrajectory*32)
	}
}

func TestCostBudget(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.workers(twoGenerations)
	r.coordinator()
	spec := r.spec(4)
	spec.Prices, spec.Budgets.Cost = []config.Price{{Of: "tiny", Prompt: 1}}, 1.5
	r.mustAsk("submit", spec)
	s := r.untilPaused()
	if !strings.Contains(s.Reason, "budget of 1.50 is spent") || !strings.Contains(s.Reason, "ratchet resume r --cost N") || s.Usage.CostNano < 15e8 || s.Usage.CostNano > 80e8 {
		t.Errorf("reason: got %q, at %d", s.Reason, s.Usage.CostNano)
	}
	r.mustAsk("resume", wish{Run: runName, Cost: 1000})
	if s := r.untilFinished(); s.Usage.CostNano != 5e8*32 {
		t.Errorf("cost: got %d, want %d", s.Usage.CostNano, int64(5e8*32))
	}
}

// A dead letter of a task that a phase cannot do without pauses the run, and a resume tries it again.
func TestFailedTaskPauses(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"build", "train", "deploy", "evaluate"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			s, mended := twoGenerations, new(atomic.Bool)
			s.broken = func(task *pb.Task) error {
				if task.GetKind() == kind && !mended.Load() {
					return bus.Permanent(errors.New("the disk is full"))
				}
				return nil
			}
			r.workers(s)
			r.coordinator()
			r.mustAsk("submit", r.spec(4))
			if got := r.untilPaused().Reason; !strings.Contains(got, kind+" of generation ") || !strings.Contains(got, "the disk is full") {
				t.Errorf("reason: got %q", got)
			}
			mended.Store(true)
			r.mustAsk("resume", wish{Run: runName})
			r.until("it goes on to the end", func() bool {
				s := r.state()
				if s.Paused && s.ControlSeen > 0 { // the other target's letter came after the first resume
					r.mustAsk("resume", wish{Run: runName})
				}
				return s.Finished
			})
		})
	}
}

// A resume that a new coordinator finds at its start is not undone by the dead letter of before the pause.
func TestResumeBeforeRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, mended := twoGenerations, new(atomic.Bool)
	s.broken = func(task *pb.Task) error {
		if task.GetKind() == "build" && !mended.Load() {
			return bus.Permanent(errors.New("the disk is full"))
		}
		return nil
	}
	r.workers(s)
	kill := r.coordinator()
	r.mustAsk("submit", r.spec(4))
	r.untilPaused()
	kill()
	mended.Store(true)
	value, err := runstate.Marshal(runstate.Control{Want: runstate.WantRun, Serial: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.conn.KV(runstate.Bucket).Create(r.ctx, runstate.ControlKey(runName), value); err != nil {
		t.Fatal(err)
	}
	r.coordinator()
	r.until("it is finished or paused again", func() bool { s := r.state(); return s.Finished || s.Paused && s.ControlSeen == 1 })
	if s := r.state(); s.Paused {
		t.Errorf("paused again: %s", s.Reason)
	}
}

// Dead shards are accounted for: the run goes on without them.
func TestDeadShards(t *testing.T) {
	t.Parallel()
	s := twoGenerations
	s.broken = func(task *pb.Task) error {
		if task.GetId() == "grow-own-000000-0" {
			return bus.Permanent(errors.New("no such model"))
		}
		return nil
	}
	r := conducted(t, s, unchanged)
	for _, p := range r.state().Progress {
		if p.Phase != "grow" {
			continue
		}
		if p.Dead != 2 || p.Completed != p.Expected-2 {
			t.Errorf("generation %d: got %d completed, %d dead of %d, want 2 dead", p.Generation, p.Completed, p.Dead, p.Expected)
		}
	}
}

// The queue holds a window of tasks, however many questions there are.
func TestWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Coordinator.Shard, r.cfg.Coordinator.Window = 1, 8
	gate := make(chan struct{})
	s := script{gate: gate, noExamples: true}
	r.workers(s)
	r.coordinator()
	spec := r.spec(2)
	const questions, samples = 40, 10
	const tasks = questions * samples
	spec.Questions, spec.Grow.Samples = r.questions("many", questions), []int{samples}
	r.mustAsk("submit", spec)
	const between = 16 // tasks between two looks at the queue
	var deepest uint64
	for i := range tasks + 2 {
		<-gate
		if i%10 == 0 {
			deepest = max(deepest, r.depth())
		}
	}
	if limit := uint64(r.cfg.Coordinator.Window + between); deepest == 0 || deepest > limit {
		t.Errorf("deepest queue: got %d, want 1 to %d", deepest, limit)
	}
	if s := r.untilFinished(); !strings.Contains(s.Reason, "no examples") {
		t.Errorf("reason: got %q", s.Reason)
	}
	if got, want := len(r.events(bus.Trajectories)), tasks+2; got != want {
		t.Errorf("trajectories: got %d, want %d", got, want)
	}
	if s := fmt.Sprint(r.state().Cursor); s != "map[]" {
		t.Errorf("cursor of a finished run: got %s", s)
	}
}
