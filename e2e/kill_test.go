package e2e

import (
	"flag"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"
)

// undisturbed is the course of the run that all others are compared with, made by the test that asks first.
var undisturbed struct {
	once    sync.Once
	outcome outcome
	course  *course
}

// reference runs `ratchet up` without disturbance, once.
func reference(t *testing.T) (outcome, *course) {
	t.Helper()
	undisturbed.once.Do(func() {
		s := newSite(t)
		undisturbed.outcome, undisturbed.course = s.undisturbed(t), s.course
	})
	if undisturbed.course == nil || undisturbed.outcome.Ledger == "" {
		t.Fatal("there is no undisturbed run to compare with")
	}
	return undisturbed.outcome, undisturbed.course
}

// undisturbed is the outcome of a site's run under `ratchet up`.
func (s site) undisturbed(t *testing.T) outcome {
	t.Helper()
	up := start(t, s.config, "ratchet", "up")
	s.submit(t)
	conn, begin := s.connect(t), time.Now()
	s.finish(t, conn)
	t.Logf("undisturbed: %v in %v", s.course, time.Since(begin).Round(time.Millisecond))
	out := s.outcome(t, conn)
	if code := up.stop(syscall.SIGTERM, 20*time.Second); code != 0 {
		t.Errorf("ratchet up exits with %d when it is asked to stop, want 0", code)
	}
	return out
}

// kills is how often `ratchet up` is killed: once in each training job, the rest at random.
const kills = 10

// killSeed repeats the moments of an earlier test.
var killSeed = flag.Uint64("kill.seed", 0, "seed of the moments at which TestKill kills; 0: another one each time")

// moment is when to kill: so many calls were answered, or so many training jobs have begun.
type moment struct{ calls, jobs int }

func (m moment) reached(c *course) bool {
	calls, _, _ := c.calls()
	return m.jobs > 0 && c.begun() >= m.jobs || m.calls > 0 && calls >= m.calls
}

// moments spreads the kills over a course of so many calls.
func moments(random *rand.Rand, calls int) []moment {
	all := []moment{{jobs: 1}, {jobs: 2}}
	for range kills - len(all) {
		all = append(all, moment{calls: 1 + random.IntN(calls*95/100)})
	}
	return all
}

// Bounds of what is repeated for each kill: a call that was answered but not yet in the journal, of each slot; the
// judge's calls for the trajectories in flight, whose rankings have no journal.
const (
	policyRepeats = kills * rolloutSlots
	judgeRepeats  = kills * (rankSlots*20 + judgeSlots)
)

// Killed with SIGKILL at ten moments, and started again each time, a run ends as it does undisturbed.
func TestKill(t *testing.T) {
	long(t)
	want, plain := reference(t)
	calls, repeated, judged := plain.calls()
	if repeated > 0 {
		t.Errorf("undisturbed, %d calls were repeated", repeated)
	}
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("the moments of the kills: -kill.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	s := newSite(t)
	up := start(t, s.config, "ratchet", "up")
	s.submit(t)
	conn, begin := s.connect(t), time.Now()
	for left := moments(random, calls); len(left) > 0; {
		left = s.awaitAny(t, up, left)
		<-time.After(time.Duration(random.Int64N(int64(100 * time.Millisecond)))) // anywhere between two calls
		up.kill()
		up = start(t, s.config, "ratchet", "up")
	}
	s.finish(t, conn)
	t.Logf("killed %d times: %v, in %v", kills, s.course, time.Since(begin).Round(time.Millisecond))

	same(t, want, s.outcome(t, conn))
	s.course.checkJobs(t)
	s.course.checkReturns(t)
	total, policy, judge := s.course.calls()
	if total != calls || policy > policyRepeats || judge > judged+judgeRepeats {
		t.Errorf("%v; want %d, repeated at most %d and %d", s.course, calls, policyRepeats, judged+judgeRepeats)
	}
}

// awaitAny waits for any of the moments and returns the others.
func (s site) awaitAny(t *testing.T, up *process, left []moment) (rest []moment) {
	t.Helper()
	eventually(t, "the next moment to kill", time.Minute, func() bool {
		if up.ended() {
			t.Fatalf("ratchet up has ended by itself, with %d", up.ProcessState.ExitCode())
		}
		for i, m := range left {
			if m.reached(s.course) {
				rest = append(append(rest, left[:i]...), left[i+1:]...)
				return true
			}
		}
		return false
	})
	return rest
}
