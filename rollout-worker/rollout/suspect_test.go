package rollout_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// poison answers no call about a question but tells of it.
func (e *endpoint) poison(question string) (struck chan struct{}) {
	struck = make(chan struct{}, 1024)
	e.intercept(func(_ http.ResponseWriter, r *http.Request, c call) bool {
		if !strings.Contains(c.text, question+"?") {
			// The others are slow: whatever plays beside the poison ends with its worker, in the call it is in.
			select {
			case <-time.After(50 * time.Millisecond):
				return true
			case <-r.Context().Done():
				return false
			}
		}
		struck <- struct{}{}
		<-r.Context().Done()
		return false
	})
	return struck
}

// letters are the run's dead letters of a kind.
func (r *rig) letters(t testing.TB, kind string) (all []*pb.DeadLetter) {
	t.Helper()
	for m, err := range r.conn.Read(t.Context(), bus.Dead, bus.DeadSubject(kind, run)) {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := m.Event(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ev.GetDeadLetter())
	}
	return all
}

// TestQuestionThatKillsItsWorkers: one of four questions kills whatever worker plays it, each time at once. After three
// workers its shard is split, after three more it is given up with what is known about it; the other three are finished,
// although there is one worker at a time, and all four are always in it together. When the cause is gone, a replay
// finishes the fourth.
func TestQuestionThatKillsItsWorkers(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, 300*time.Millisecond)
	r.publish(t, task(e, "a", 4, 1))
	struck := e.poison("pool-a-2")
	deaths := 0
	for w := r.work(t, 4, 0); len(r.letters(t, "rollout")) == 0; {
		select {
		case <-struck:
			deaths++
			w.kill()
			for len(struck) > 0 {
				<-struck
			}
			w = r.work(t, 4, 0)
		case <-time.After(20 * time.Millisecond):
		}
		if deaths > 20 {
			t.Fatal("it goes on killing")
		}
	}
	letters := r.letters(t, "rollout")
	r.settled(t)
	if deaths != 6 {
		t.Errorf("%d workers died, want three over the shard and three over the question", deaths)
	}
	r.completed(t, 3)
	if len(letters) != 1 || len(letters[0].GetIdentities()) != 1 || letters[0].GetIdentities()[0].GetQuestion() != "pool-a-2" ||
		letters[0].GetFailure() != pb.FailureClass_FAILURE_CLASS_WORKER_KILLED {
		t.Fatalf("%v", letters)
	}
	if said := letters[0].GetError(); strings.Count(said, "rollout-worker/") != 3 || !strings.Contains(said, "in its step decision") {
		t.Errorf("the letter says %q, want who died and where", said)
	}
	if _, most := e.calls(); most != 1 {
		t.Errorf("a call was answered %d times", most)
	}

	e.intercept(nil)
	if err := r.conn.Replay(t.Context(), letters[0]); err != nil {
		t.Fatal(err)
	}
	r.settled(t)
	r.completed(t, 4)
}

// TestSuspectsThatLiveOn: outages and stops are no deaths, however many there are.
func TestSuspectsThatLiveOn(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, long)
	suspect := task(e, "a", 1, 1)
	suspect.GetShard().Suspect = true
	h := e.hold("answer")
	r.publish(t, suspect)
	for range 5 {
		w := r.work(t, 2, 0)
		receive(t, "its call", h.held)
		w.stop()
		receive(t, "the worker stops", w.ended)
	}
	close(h.free)
	r.work(t, 2, 0)
	r.settled(t)
	r.completed(t, 1)
	if letters := r.letters(t, "rollout"); len(letters) > 0 {
		t.Errorf("%v", letters)
	}
}
