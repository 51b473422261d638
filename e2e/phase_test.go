package e2e

import (
	"testing"
	"time"
)

// phases of a run of one generation, in order; "decide" is a moment.
var phases = []string{"baseline", "grow", "rank", "build", "train", "deploy", "evaluate"}

// Each role, and the bus, is killed with SIGKILL in each phase in turn, all of its processes at once.
func TestKillInEachPhase(t *testing.T) {
	long(t)
	for _, role := range []string{"coordinator", "rollout-worker", "rank-worker", "trainer-bridge", "evaluator", busName} {
		t.Run(role, func(t *testing.T) { killInEachPhase(t, role) })
	}
}

func killInEachPhase(t *testing.T, role string) {
	want, _ := reference(t)
	s := newSite(t)
	s.course.judging = 3 * latency // ranking outlasts growing, so that there is a phase
	o := newOrdeal(t, s, *chaosSeed,
		"coordinator", "rollout-worker", "rollout-worker", "rollout-worker", "rank-worker", "rank-worker", "trainer-bridge", "evaluator")
	for _, phase := range phases {
		if !o.await(phase) {
			t.Errorf("the run has left %s before %s could be killed in it", phase, role)
			continue
		}
		<-time.After(time.Duration(o.random.Int64N(int64(100 * time.Millisecond)))) // anywhere in it
		o.inflict(kill(o.cast.of(role)...))
	}
	o.finish(want)
}
