package rollout_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// long is a lease that does not end within a test: what is delivered again was handed back.
const long = 10 * time.Minute

func TestShard(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, long)
	r.work(t, 4, 0)
	r.publish(t, task(e, "a", 2, 3))
	r.settled(t)
	for id, got := range r.completed(t, 6) {
		if u := got.GetUsage(); u.GetCalls() != steps || u.GetSearches() != 2 || u.GetPromptTokens() == 0 || u.GetCompletionTokens() == 0 {
			t.Errorf("%s: %v", id, u)
		}
		if u := got.GetUsage(); u.GetCostNano() != 1000*(2*u.GetPromptTokens()+3*u.GetCompletionTokens()) {
			t.Errorf("%s: %v at 2 and 3 for a million tokens", id, u)
		}
	}
	if all, most := e.calls(); all != 6*steps || most != 1 {
		t.Errorf("%d calls, up to %d times the same; want %d, once", all, most, 6*steps)
	}
	// What is finished costs no call, however often its shard comes.
	again := task(e, "a", 2, 3)
	again.Id = "again"
	r.publish(t, again)
	r.settled(t)
	if all, _ := e.calls(); all != 6*steps {
		t.Errorf("%d calls after the shard was published again, want %d", all, 6*steps)
	}
}

// hold keeps calls of a kind unanswered until they are let go or their client is gone.
type hold struct {
	held chan call
	free chan struct{}
	gone chan struct{} // of clients that went away unanswered
}

func (e *endpoint) hold(kind string) *hold {
	h := &hold{held: make(chan call, 1024), free: make(chan struct{}), gone: make(chan struct{}, 1024)}
	e.intercept(func(_ http.ResponseWriter, r *http.Request, c call) bool {
		if c.kind != kind {
			return true
		}
		h.held <- c
		select {
		case <-h.free:
			return true
		case <-r.Context().Done():
			h.gone <- struct{}{}
			return false
		}
	})
	return h
}

// TestResumeAfterKill: a worker is killed in the middle of all its trajectories. Another goes on: no completed call is made
// again, and what comes out is what one worker would have made.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	undisturbed := newRig(t, long)
	undisturbed.work(t, 4, 0)
	undisturbed.publish(t, task(e, "a", 2, 2))
	undisturbed.settled(t)
	want := undisturbed.completed(t, 4)
	e.forget()

	for _, kind := range []string{"decision", "summarization", "answer", "relevance", "grounding"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, 300*time.Millisecond)
			e.forget()
			h := e.hold(kind)
			doomed := r.work(t, 4, 0)
			r.publish(t, task(e, "a", 2, 2))
			for range 4 {
				receive(t, "a call of each trajectory", h.held)
			}
			doomed.kill()
			for range 4 { // before the calls could be answered to nobody
				receive(t, "the end of each call", h.gone)
			}
			if len(r.results(t)) != 0 {
				t.Error("a result of a killed worker")
			}
			close(h.free)
			r.work(t, 4, 0)
			r.settled(t)
			same(t, r.completed(t, 4), want)
			if all, most := e.calls(); all != 4*steps || most != 1 {
				t.Errorf("%d calls, up to %d times the same; want %d, once", all, most, 4*steps)
			}
		})
	}
}

// TestStaleWorkerIsFenced: a shard comes to a second worker while the first still plays it, and its model says something
// else this time. The second's result stands; the first drops its own at the next append.
func TestStaleWorkerIsFenced(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, long)
	var turn atomic.Int64
	e.speak(func(c call, i int) string {
		return strings.ReplaceAll(script(c, i), "delta", fmt.Sprint("delta ", turn.Load()))
	})
	h := e.hold("answer")
	fenced := watchFor("another worker has gone on")
	r.work(t, 1, 0, fenced)
	r.publish(t, task(e, "a", 1, 1))
	receive(t, "the first worker's call", h.held)

	// The lease is lost: the task is delivered to somebody else.
	if err := r.conn.Purge(t.Context(), bus.Tasks, bus.RunFilter(bus.Tasks, run)); err != nil {
		t.Fatal(err)
	}
	e.intercept(nil)
	turn.Store(1)
	again := task(e, "a", 1, 1)
	again.Id = "again"
	r.publish(t, again)
	r.work(t, 1, 0)
	r.settled(t)
	want := r.completed(t, 1)
	turn.Store(2)
	close(h.free)
	receive(t, "the first worker is fenced", fenced.seen)
	same(t, r.completed(t, 1), want)
	for id, got := range want {
		if !strings.HasPrefix(got.GetAnswer(), "the delta 1") {
			t.Errorf("%s: answer %q is not the second worker's", id, got.GetAnswer())
		}
	}
}

// TestDeliveredTwiceToOne: a shard comes again to the worker that plays it. It is played once.
func TestDeliveredTwiceToOne(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, long)
	h := e.hold("answer")
	left := watchFor("left to the worker that holds it now")
	r.work(t, 2, 0, left)
	r.publish(t, task(e, "a", 1, 1))
	receive(t, "the worker's call", h.held)
	again := task(e, "a", 1, 1)
	again.Id = "again"
	r.publish(t, again)
	receive(t, "the second delivery is left alone", left.seen)
	close(h.free)
	await(t, "the trajectory", func() bool { return len(r.results(t)) == 1 })
	if all, most := e.calls(); all != steps || most != 1 {
		t.Errorf("%d calls, up to %d times the same; want %d, once", all, most, steps)
	}
}

// TestLostShard: a worker that learns from one trajectory that its shard is somebody else's does not begin the others.
func TestLostShard(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, long)
	h := e.hold("answer")
	left := watchFor("left to the worker that holds it now")
	r.work(t, 1, 0, left)
	r.publish(t, task(e, "a", 2, 1))
	begun := receive(t, "the first worker's call", h.held)

	if err := r.conn.Purge(t.Context(), bus.Tasks, bus.RunFilter(bus.Tasks, run)); err != nil {
		t.Fatal(err)
	}
	again := task(e, "a", 2, 1)
	again.Id = "again"
	played, other := 0, 1
	if strings.Contains(begun.text, "pool-a-1") {
		played, other = 1, 0
	}
	token := again.GetShard().GetQuestions()[other].GetToken()
	again.GetShard().Questions = again.GetShard().GetQuestions()[played : played+1]
	e.intercept(func(_ http.ResponseWriter, _ *http.Request, c call) bool {
		if strings.Contains(c.text, token) {
			t.Errorf("%s was begun", token)
		}
		return true
	})
	r.publish(t, again)
	r.work(t, 1, 0)
	r.settled(t)
	close(h.free)
	receive(t, "the first worker leaves the shard", left.seen)
}

// TestOutage: an endpoint that fails makes no result, neither a completed nor a failed one; when it answers again, the run
// goes on where it was.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]func(t *testing.T, e *endpoint) (recover func()){
		"refused": func(t *testing.T, e *endpoint) func() {
			e.Close()
			return func() { e.revive(t) }
		},
		"500":    status(http.StatusInternalServerError),
		"503":    status(http.StatusServiceUnavailable),
		"broken": breaks,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, r := newEndpoint(t), newRig(t, long)
			recover := outage(t, e)
			failed := watchFor("endpoint fails")
			r.work(t, 2, 0, failed)
			r.publish(t, task(e, "a", 1, 2))
			receive(t, "a failed call", failed.seen)
			if have := r.results(t); len(have) != 0 {
				t.Errorf("results of an outage: %v", have)
			}
			recover()
			r.settled(t)
			r.completed(t, 2)
			if all, most := e.calls(); all != 2*steps || most != 1 {
				t.Errorf("%d calls, up to %d times the same; want %d, once", all, most, 2*steps)
			}
			for range r.conn.Read(t.Context(), bus.Dead, bus.RunFilter(bus.Dead, run)) {
				t.Error("a dead letter")
			}
		})
	}
}

// status fails every call with a status.
func status(code int) func(*testing.T, *endpoint) func() {
	return func(_ *testing.T, e *endpoint) func() {
		e.intercept(func(w http.ResponseWriter, _ *http.Request, _ call) bool {
			http.Error(w, "out of order", code)
			return false
		})
		return func() { e.intercept(nil) }
	}
}

// breaks cuts the connection in every call from the third step on.
func breaks(t *testing.T, e *endpoint) func() {
	e.intercept(func(w http.ResponseWriter, _ *http.Request, c call) bool {
		if c.kind != "answer" {
			return true
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return false
		}
		_ = conn.Close()
		return false
	})
	return func() { e.intercept(nil) }
}

// TestUnparsable is the policy's own failure: a result, with what was paid for.
func TestUnparsable(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, long)
	e.speak(func(c call, i int) string {
		if c.kind == "answer" {
			return "I would rather not say."
		}
		return script(c, i)
	})
	r.work(t, 2, 0)
	r.publish(t, task(e, "a", 1, 1))
	r.settled(t)
	all := r.results(t)
	for id, got := range all {
		last := got.GetSteps()[len(got.GetSteps())-1]
		if got.GetOutcome() != pb.Outcome_OUTCOME_FAILED || got.GetFailure() != pb.FailureClass_FAILURE_CLASS_UNPARSABLE || got.GetAnswer() != "" {
			t.Errorf("%s: %s, %s, %q", id, got.GetOutcome(), got.GetFailure(), got.GetAnswer())
		}
		if last.GetChosen() != -1 || len(last.GetCandidates()) != 12 || got.GetUsage().GetCalls() != 5+3 {
			t.Errorf("%s: %d candidates, %d calls; want those of three attempts kept", id, len(last.GetCandidates()), got.GetUsage().GetCalls())
		}
	}
	if calls, most := e.calls(); len(all) != 1 || calls != 8 || most != 1 {
		t.Errorf("%d results, %d calls, up to %d times the same", len(all), calls, most)
	}
}

// TestPoisonedShardIsSplit: at its fourth delivery a shard becomes one task for each question.
func TestPoisonedShardIsSplit(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, long)
	r.publish(t, task(e, "a", 2, 2))
	for range 3 {
		handBack(t, r)
	}
	h := e.hold("decision")
	r.work(t, 4, 0)
	receive(t, "the first call", h.held)
	await(t, "a task for each question", func() bool {
		ids := r.tasks(t)
		return len(ids) == 2 && ids[0] == "a-q0" && ids[1] == "a-q1"
	})
	close(h.free)
	r.settled(t)
	r.completed(t, 4)
	if all, most := e.calls(); all != 4*steps || most != 1 {
		t.Errorf("%d calls, up to %d times the same", all, most)
	}
}

// handBack takes a delivery and gives it back, as a worker does that is stopped.
func handBack(t *testing.T, r *rig) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := r.conn.Consume(ctx, bus.Loop{Source: bus.TaskSource("rollout")}, func(ctx context.Context, _ *bus.Delivery) error {
		cancel()
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDrain: asked to stop, a worker finishes the calls that it is in, journals them, and hands the shard back at once;
// the next one goes on from there.
func TestDrain(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, long)
	h := e.hold("answer")
	first := r.work(t, 2, patience)
	r.publish(t, task(e, "a", 1, 2))
	for range 2 {
		receive(t, "a call of each trajectory", h.held)
	}
	first.stop()
	close(h.free)
	receive(t, "the worker stops", first.ended)
	if len(r.results(t)) != 0 {
		t.Error("a stopped worker went on to the end")
	}
	if all, _ := e.calls(); all != 2*6 {
		t.Errorf("%d calls, want the six that each trajectory was in", all)
	}
	r.work(t, 2, 0)
	r.settled(t)
	r.completed(t, 2)
	if all, most := e.calls(); all != 2*steps || most != 1 {
		t.Errorf("%d calls, up to %d times the same; want %d, once", all, most, 2*steps)
	}
}

// TestGiantOutput: a server that does not heed max_tokens costs its trajectory, which says why in few bytes. The
// endpoint is as good as ever.
func TestGiantOutput(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"candidates": 1 << 20, "replies": 5 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, r := newEndpoint(t), newRig(t, long)
			text := strings.Repeat("on and on ", size/10)
			e.speak(func(c call, i int) string {
				if strings.Contains(c.text, "pool-a-0") {
					return text
				}
				return script(c, i)
			})
			r.work(t, 4, 0)
			r.publish(t, task(e, "a", 2, 1))
			r.settled(t)
			results := r.results(t)
			if len(results) != 2 {
				t.Fatalf("%d trajectories, want 2", len(results))
			}
			for id, got := range results {
				if !strings.Contains(id, "pool-a-0") {
					if got.GetOutcome() != pb.Outcome_OUTCOME_COMPLETED {
						t.Errorf("the other one: %s, %s", got.GetOutcome(), got.GetReason())
					}
					continue
				}
				if got.GetFailure() != pb.FailureClass_FAILURE_CLASS_UNPARSABLE || !strings.Contains(got.GetReason(), "bytes") {
					t.Errorf("%s: %s: %s", id, got.GetFailure(), got.GetReason())
				}
				if n := proto.Size(got); n > 64<<10 {
					t.Errorf("%s has %d bytes", id, n)
				}
				if u := got.GetUsage(); u.GetCalls() != 3 {
					t.Errorf("%d calls were counted, want the three that were made", u.GetCalls())
				}
			}
		})
	}
}
