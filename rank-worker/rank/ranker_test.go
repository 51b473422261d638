package rank

import (
	"net/http"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// llmRanker is the ranker llm, to be handed deliveries one by one.
func llmRanker(env *app.Env) *ranker {
	return &ranker{name: "llm", bus: env.Bus, spec: env.Spec, ordering: &judged{model: env.LLM}, metrics: newMetrics(env.Metrics.Registry())}
}

// recorded is every feedback on the bus.
func recorded(t *testing.T, conn *bus.Conn) (all []*pb.Feedback) {
	t.Helper()
	for m, err := range conn.Read(t.Context(), bus.Feedback) {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := m.Event(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ev.GetFeedback())
	}
	return all
}

// TestRedelivered: feedback that is there is neither paid for nor published nor counted again.
func TestRedelivered(t *testing.T) {
	t.Parallel()
	rater := newRater(t)
	env := bench(t, rater.url)
	r := llmRanker(env)
	for range 2 {
		if err := r.handle(t.Context(), grow(t, "r", 0), &pb.Event{Run: "r", Generation: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if n := rater.calls.Load(); n != stepGrounding {
		t.Errorf("%d calls for two deliveries, want %d", n, stepGrounding)
	}
	if all := recorded(t, env.Bus); len(all) != 1 {
		t.Errorf("%d feedbacks, want 1", len(all))
	}
	counted := testutil.ToFloat64(r.metrics.rankings.WithLabelValues("llm", "ranker"))
	if single := testutil.ToFloat64(r.metrics.rankings.WithLabelValues("llm", "single")); counted != stepGrounding || single != 1 {
		t.Errorf("counted %v ranked and %v single, want %d and 1", counted, single, stepGrounding)
	}
}

// TestNothingToDo: neither a run that does not name the ranker nor a failed trajectory gets feedback.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	rater := newRater(t)
	env := bench(t, rater.url)
	failed := grow(t, "r", 0)
	failed.Outcome, failed.Failure = pb.Outcome_OUTCOME_FAILED, pb.FailureClass_FAILURE_CLASS_UNPARSABLE
	r := llmRanker(env)
	for _, trajectory := range []*pb.Trajectory{grow(t, "plain", 0), failed} {
		if err := r.handle(t.Context(), trajectory, &pb.Event{}); err != nil {
			t.Errorf("%v: %v, want it acknowledged", trajectory.GetIdentity(), err)
		}
	}
	if all := recorded(t, env.Bus); len(all) != 0 || rater.calls.Load() != 0 {
		t.Errorf("%d feedbacks, %d calls; want none", len(all), rater.calls.Load())
	}
}

// TestRefused: what another delivery may do better is an error, what none can is a dead letter.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := llmRanker(bench(t, newRater(t).url))
	if err := r.handle(t.Context(), grow(t, "nobody", 0), &pb.Event{}); err == nil || bus.IsPermanent(err) {
		t.Errorf("an unknown run: %v, want an error to try again", err)
	}
	spoiled := grow(t, "r", 1)
	spoiled.Steps[0].Chosen = unread
	for name, trajectory := range map[string]*pb.Trajectory{"no identity": {}, "not replayable": spoiled} {
		if err := r.handle(t.Context(), trajectory, &pb.Event{}); !bus.IsPermanent(err) {
			t.Errorf("%s: %v, want a dead letter", name, err)
		}
	}
}

// TestServerError: a 500 is an error of the delivery and no ranking; the next delivery ranks, and it alone is counted.
func TestServerError(t *testing.T) {
	t.Parallel()
	rater := newRater(t)
	env := bench(t, rater.url)
	r, trajectory := llmRanker(env), grow(t, "r", 0)
	rater.refuses.Store(http.StatusInternalServerError)
	if err := r.handle(t.Context(), trajectory, &pb.Event{Run: "r", Generation: 1}); err == nil || bus.IsPermanent(err) {
		t.Errorf("%v, want an error to try again", err)
	}
	if all := recorded(t, env.Bus); len(all) != 0 {
		t.Fatalf("a failing endpoint has become the feedback %v", all)
	}
	rater.refuses.Store(0)
	if err := r.handle(t.Context(), trajectory, &pb.Event{Run: "r", Generation: 1}); err != nil {
		t.Fatal(err)
	}
	checkJudged(t, recorded(t, env.Bus)[0])
	if n := testutil.ToFloat64(r.metrics.rankings.WithLabelValues("llm", "single")); n != 1 {
		t.Errorf("%v single steps counted, want 1: that of the delivery that was recorded", n)
	}
}

// TestMumbling: a judge that cannot be read twice leaves the default order, the empty one last, and is counted.
func TestMumbling(t *testing.T) {
	t.Parallel()
	rater := newRater(t)
	rater.mumbles.Store(true)
	env := bench(t, rater.url)
	r := llmRanker(env)
	if err := r.handle(t.Context(), grow(t, "r", 0), &pb.Event{Run: "r", Generation: 1}); err != nil {
		t.Fatal(err)
	}
	f := recorded(t, env.Bus)[0]
	for _, s := range f.GetSteps()[:stepGrounding] {
		if s.GetRankedBy() != pb.RankedBy_RANKED_BY_FALLBACK || !slices.Equal(s.GetRanking(), []int32{chosen, other, preferred}) {
			t.Errorf("%v, want the default order", s)
		}
	}
	counted := testutil.ToFloat64(r.metrics.rankings.WithLabelValues("llm", "fallback"))
	if counted != stepGrounding || f.GetUsage().GetCalls() != 2*stepGrounding {
		t.Errorf("%v fallbacks counted, usage %v; want %d, of two calls each", counted, f.GetUsage(), stepGrounding)
	}
}
