package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// conducted runs a spec by a script to its end.
func conducted(t *testing.T, s script, change func(*config.Run)) *rig {
	t.Helper()
	r := newRig(t)
	spec := r.spec(4)
	change(&spec)
	r.workers(s)
	r.coordinator()
	r.mustAsk("submit", spec)
	r.untilFinished()
	return r
}

func unchanged(*config.Run) {}

// twoGenerations promotes the first and leaves the second undecided.
var twoGenerations = script{rulings: map[[2]int]pb.Ruling{{1, 1}: pb.Ruling_RULING_PROMOTE}}

// twoGenerationsLog is the log of a run of twoGenerations by rig.spec.
var twoGenerationsLog = []string{
	"r.0.left.plan.0",
	"r.0.entered.baseline.own.1", "r.0.left.baseline.1",
	"r.1.entered.grow.own.0", "r.1.left.grow.0",
	"r.1.entered.rank.own.0", "r.1.left.rank.0",
	"r.1.entered.build.own.0", "r.1.left.build.0",
	"r.1.entered.train.own.0", "r.1.entered.train.small.0", "r.1.left.train.0",
	"r.1.entered.deploy.own.0", "r.1.entered.deploy.small.0", "r.1.left.deploy.0",
	"r.1.entered.evaluate.own.1", "r.1.entered.evaluate.small.1", "r.1.left.evaluate.1",
	"r.1.left.decide.1",
	"r.2.entered.grow.own.0", "r.2.left.grow.0",
	"r.2.entered.rank.own.0", "r.2.left.rank.0",
	"r.2.entered.build.own.0", "r.2.left.build.0",
	"r.2.entered.train.own.0", "r.2.entered.train.small.0", "r.2.left.train.0",
	"r.2.entered.deploy.own.0", "r.2.entered.deploy.small.0", "r.2.left.deploy.0",
	"r.2.entered.evaluate.own.1", "r.2.entered.evaluate.small.1", "r.2.left.evaluate.1",
	"r.2.left.decide.1",
	"r.2.finished.run",
}

// checkTwoGenerations wants exactly the outcome of twoGenerations, whatever happened to coordinators meanwhile.
func checkTwoGenerations(t *testing.T, r *rig) {
	t.Helper()
	if diff := cmp.Diff(twoGenerationsLog, r.logIDs()); diff != "" {
		t.Errorf("the run's log (-want +got):\n%s", diff)
	}
	s := r.state()
	if s.Incumbent != 1 || s.Streak != 1 || s.Generation != 2 || !strings.Contains(s.Reason, "all 2 generations tried; generation 1 is promoted") {
		t.Errorf("got incumbent %d, streak %d, generation %d, reason %q", s.Incumbent, s.Streak, s.Generation, s.Reason)
	}
	// 4 questions in 2 and 1 samples are grown; 2 held-out questions in 2 repetitions are evaluated, once for the
	// baseline and twice (own, small) for each generation.
	want := map[string]int{bus.Trajectories: 8 + 4 + 4 + 16, bus.Feedback: 2 * (8 + 4), bus.Verdicts: 4 + 16, bus.Training: 10, bus.Evals: 2 + 6, bus.Dead: 0}
	for stream, n := range want {
		if got := len(r.events(stream)); got != n {
			t.Errorf("%s: got %d events, want %d", stream, got, n)
		}
	}
	if want := int64(callsPerTrajectory * 32); s.Usage.Calls != want {
		t.Errorf("calls: got %d, want %d", s.Usage.Calls, want)
	}
	for _, p := range s.Progress {
		if p.Completed != p.Expected || p.Ended.IsZero() || p.Dead != 0 || len(p.Failed) != 0 {
			t.Errorf("progress does not add up: %+v", p)
		}
	}
}

func TestTwoGenerations(t *testing.T) {
	t.Parallel()
	r := conducted(t, twoGenerations, unchanged)
	checkTwoGenerations(t, r)
	grownBy := map[int32]string{}
	for _, e := range r.events(bus.Trajectories) {
		if id := e.GetTrajectory().GetIdentity(); id.GetPurpose() == pb.Purpose_PURPOSE_GROW {
			grownBy[id.GetGeneration()] = e.GetTrajectory().GetPolicy().GetCheckpoint()
		}
	}
	if diff := cmp.Diff(map[int32]string{1: "", 2: "c-own-1"}, grownBy); diff != "" {
		t.Errorf("checkpoint that grew each round (-want +got):\n%s", diff)
	}
}

func TestEndings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script script
		change func(*config.Run)
		// reason is part of why the run ended, last the last phase that it left.
		reason, last string
		generation   int
	}{
		"a rejected generation is a plateau": {
			script: script{rulings: map[[2]int]pb.Ruling{{1, 1}: pb.Ruling_RULING_REJECT}}, change: unchanged,
			reason: "plateau: 1 generations in a row were not promoted; generation 0 stays", last: "decide.1", generation: 1,
		},
		"a longer plateau allows another try": {
			script: script{rulings: map[[2]int]pb.Ruling{{1, 1}: pb.Ruling_RULING_REJECT}}, change: func(s *config.Run) { s.Plateau = 2 },
			reason: "all 2 generations tried; generation 0 is promoted", last: "decide.1", generation: 2,
		},
		"nothing to train on": {
			script: script{noExamples: true}, change: unchanged,
			reason: "the mixture of generation 1 has no examples", last: "build.0", generation: 1,
		},
		"every trajectory failed": {
			script: script{noExamples: true, fails: pb.FailureClass_FAILURE_CLASS_UNPARSABLE}, change: unchanged,
			reason: "no examples", last: "build.0", generation: 1,
		},
		"nothing to train": {
			change: func(s *config.Run) { s.Targets = nil },
			reason: "no targets to train; the mixture of generation 1 has 5 examples", last: "build.0", generation: 1,
		},
		"baseline only": {
			change: func(s *config.Run) { s.Generations = 0 },
			reason: "baseline measured", last: "baseline.1", generation: 0,
		},
		"the target is reached": {
			script: twoGenerations, change: func(s *config.Run) { s.Gate.Target = 0.5 },
			reason: "target reached: 50.0 %", last: "decide.1", generation: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := conducted(t, tt.script, tt.change)
			s, log := r.state(), r.logIDs()
			if !strings.Contains(s.Reason, tt.reason) || s.Generation != tt.generation {
				t.Errorf("got %q in generation %d, want %q in %d", s.Reason, s.Generation, tt.reason, tt.generation)
			}
			if last := log[len(log)-2]; !strings.HasSuffix(last, ".left."+tt.last) {
				t.Errorf("left last: got %s, want %s", last, tt.last)
			}
		})
	}
}

func TestTwoLooks(t *testing.T) {
	t.Parallel()
	s := script{rulings: map[[2]int]pb.Ruling{{1, 1}: pb.Ruling_RULING_CONTINUE, {1, 2}: pb.Ruling_RULING_PROMOTE}}
	r := conducted(t, s, func(spec *config.Run) {
		spec.Generations, spec.Evaluation.Repetitions, spec.Evaluation.Looks = 1, 4, []int{1, 4}
	})
	if got := r.state(); got.Incumbent != 1 {
		t.Errorf("incumbent: got %d, want 1", got.Incumbent)
	}
	log := r.logIDs()
	looks := log[slices.Index(log, "r.1.left.deploy.0")+1:]
	want := []string{
		"r.1.entered.evaluate.own.1", "r.1.entered.evaluate.small.1", "r.1.left.evaluate.1", "r.1.left.decide.1",
		"r.1.entered.evaluate.own.2", "r.1.left.evaluate.2", "r.1.left.decide.2", "r.1.finished.run",
	}
	if diff := cmp.Diff(want, looks); diff != "" {
		t.Errorf("the looks (-want +got):\n%s", diff)
	}
	repetitions := map[string]int32{}
	for _, e := range r.events(bus.Evals) {
		if e.GetReport() != nil && e.GetGeneration() == 1 {
			repetitions[strings.TrimPrefix(e.GetId(), "eval.r.1.")] = e.GetReport().GetRepetitions()
		}
	}
	if diff := cmp.Diff(map[string]int32{"own.report-1": 1, "small.report-1": 4, "own.report-2": 4}, repetitions); diff != "" {
		t.Errorf("repetitions (-want +got):\n%s", diff)
	}
}
