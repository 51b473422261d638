package rollout_test

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// garbage is what an endpoint in trouble says with status 200.
var garbage = []string{
	"", "<html>It works!</html>", `{"choices":[`, `{"choices":[]}`, `{"choices":null,"usage":{}}`, `{"error":{"message":"engine died"}}`, "null", `{"choices":[{"index":0}]}`,
}

// faulty answers one call in five with an error of a server, a request to slow down, silence or garbage, each time another.
func (e *endpoint) faulty() (faults *atomic.Int64) {
	var mu sync.Mutex
	asked := map[call]int{}
	faults = new(atomic.Int64)
	e.intercept(func(w http.ResponseWriter, r *http.Request, c call) bool {
		mu.Lock()
		asked[c.key()]++
		h := fnv.New32a()
		fmt.Fprint(h, c.prompt, c.seed, asked[c.key()])
		mu.Unlock()
		if h.Sum32()%5 != 0 {
			return true
		}
		n := int(faults.Add(1))
		switch n % 4 {
		case 0:
			http.Error(w, "out of order", http.StatusInternalServerError)
		case 1:
			w.Header().Set("Retry-After", "0.01")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		case 2:
			<-r.Context().Done()
		default:
			_, _ = w.Write([]byte(garbage[n/4%len(garbage)]))
		}
		return false
	})
	return faults
}

// TestFaultsAreNoAnswers: with a fifth of the calls failing in every way, the trajectories are those of an endpoint without
// a fault, byte for byte but for the time they took.
func TestFaultsAreNoAnswers(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	const questions, samples = 6, 4
	undisturbed := newRig(t, long)
	undisturbed.work(t, 8, 0)
	undisturbed.publish(t, task(e, "a", questions, samples))
	undisturbed.settled(t)
	want := undisturbed.completed(t, questions*samples)
	e.forget()

	r, faults := newRig(t, long), e.faulty()
	r.cfg.LLM.Timeout, r.cfg.LLM.Tries, r.cfg.LLM.OpenAfter = 200*time.Millisecond, 3, 5
	r.work(t, 8, 0)
	r.publish(t, task(e, "a", questions, samples))
	r.settled(t)
	same(t, r.completed(t, questions*samples), want)
	if letters := r.letters(t, "rollout"); len(letters) > 0 {
		t.Errorf("%v", letters)
	}
	calls, most := e.calls()
	if faults.Load() < 20 || calls != questions*samples*steps || most != 1 {
		t.Errorf("%d faults, %d calls answered, up to %d times the same; want %d, once", faults.Load(), calls, most, questions*samples*steps)
	}
}

// TestHungCallFreesItsSlot: a call that hangs ends at its deadline, within a second, and delays nobody beside it; what is
// the endpoint's silence is no result.
func TestHungCallFreesItsSlot(t *testing.T) {
	t.Parallel()
	const deadline = 1500 * time.Millisecond
	e, r := newEndpoint(t), newRig(t, long)
	hung, ended := make(chan time.Time, 64), make(chan time.Time, 64)
	e.intercept(func(_ http.ResponseWriter, r *http.Request, c call) bool {
		if c.kind != "decision" || !strings.Contains(c.text, "pool-slow-0") {
			return true
		}
		hung <- time.Now()
		<-r.Context().Done()
		ended <- time.Now()
		return false
	})
	r.cfg.LLM.OpenAfter = 1000 // else the circuit holds the others
	r.work(t, 2, 0)
	slow := task(e, "slow", 1, 1)
	slow.GetShard().Limits.CallMs = deadline.Milliseconds()
	r.publish(t, slow)
	begun := receive(t, "the call that hangs", hung)
	r.publish(t, task(e, "quick", 6, 1))
	await(t, "the others are finished", func() bool { return len(r.results(t)) == 6 })
	if took := time.Since(begun); took > deadline+5*time.Second {
		t.Errorf("the others took %v beside it", took)
	}
	if took := receive(t, "the end of the call", ended).Sub(begun); took < deadline-100*time.Millisecond || took > deadline+time.Second {
		t.Errorf("the call that hangs ended after %v, want its deadline of %v", took, deadline)
	}
	for id, got := range r.results(t) {
		if got.GetOutcome() != pb.Outcome_OUTCOME_COMPLETED {
			t.Errorf("%s: %s", id, got.GetReason())
		}
	}
	e.intercept(nil)
	r.settled(t)
	r.completed(t, 7)
}

// TestTimeOfATrajectoryGoesOn: what its steps took before a worker died is not given again to the next.
func TestTimeOfATrajectoryGoesOn(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second
	e, r := newEndpoint(t), newRig(t, 300*time.Millisecond)
	one := task(e, "a", 1, 1)
	one.GetShard().Limits.TrajectoryMs = limit.Milliseconds()
	e.intercept(func(http.ResponseWriter, *http.Request, call) bool { // eight steps take more than the time
		<-time.After(limit * 3 / 16)
		return true
	})
	r.publish(t, one)
	for range 2 {
		before, _ := e.calls()
		w := r.work(t, 1, 0)
		await(t, "two steps", func() bool { calls, _ := e.calls(); return calls >= before+2 })
		w.kill()
	}
	begun := time.Now()
	r.work(t, 1, 0)
	r.settled(t)
	for id, got := range r.results(t) {
		if got.GetOutcome() != pb.Outcome_OUTCOME_FAILED || got.GetFailure() != pb.FailureClass_FAILURE_CLASS_DEADLINE {
			t.Errorf("%s: %s after %v, want its time over", id, got.GetOutcome(), time.Since(begun))
		}
	}
}
