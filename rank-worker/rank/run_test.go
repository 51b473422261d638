package rank

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/judge"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// rater is a judge's endpoint: it likes the output that says "best idea", or the one without thoughts.
type rater struct {
	url     string
	calls   atomic.Int64
	refuses atomic.Int64 // the HTTP status it refuses with, 0: it answers
	mumbles atomic.Bool  // what it says is no ranking
}

// shown finds the slots and what is in them, up to the next empty line.
var shown = regexp.MustCompile(`(?m)^Model Output #(\d+):\n((?:.+\n)+)`)

func newRater(t *testing.T) *rater {
	r := &rater{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		switch {
		case r.refuses.Load() != 0:
			http.Error(w, "not now", int(r.refuses.Load()))
			return
		case request.URL.Path != "/v1/chat/completions":
			http.NotFound(w, request)
			return
		}
		var body struct {
			Messages []struct{ Content string }
		}
		if err := json.NewDecoder(request.Body).Decode(&body); err != nil || len(body.Messages) != 1 {
			http.Error(w, "want a chat request", http.StatusBadRequest)
			return
		}
		r.calls.Add(1)
		best := "1"
		outputs := shown.FindAllStringSubmatch(body.Messages[0].Content, -1)
		for _, m := range outputs {
			if strings.Contains(m[2], "best idea") || strings.Contains(m[2], `thoughts=""`) {
				best = m[1]
			}
		}
		text := fmt.Sprintf("Explanation: of %d outputs it is the best\nAnswer: #%s\nRanking: #%s", len(outputs), best, best)
		if r.mumbles.Load() {
			text = "They are all fine."
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"choices": []any{map[string]any{"message": map[string]any{"content": text}, "finish_reason": "stop"}},
			"usage":   map[string]any{"prompt_tokens": 100, "completion_tokens": 10},
		})
	}))
	t.Cleanup(server.Close)
	r.url = server.URL + "/v1"
	return r
}

// bench is a rank worker's environment on an embedded bus.
func bench(t *testing.T, judge string) *app.Env {
	t.Helper()
	cfg := config.Default()
	cfg.Bus = devstack.TestConfig(devstack.TestNATS(t))
	cfg.Blob.URL = "file://" + t.TempDir()
	cfg.LLM.Tries, cfg.LLM.OpenAfter, cfg.LLM.OpenFor = 1, 1, 20*time.Millisecond
	env, err := app.Open(t.Context(), "rank-worker", cfg, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(env.Close)
	t.Cleanup(env.LLM.Close)
	if err := env.Bus.Apply(t.Context(), bus.NewTopology(cfg.Bus)); err != nil {
		t.Fatal(err)
	}
	for _, name := range cfg.Rank.Rankers {
		if err := env.Bus.AddRanker(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	submit(t, env, config.Run{Name: "r", Rankers: []string{"llm", "perplexity"}, Judge: config.Model{Endpoint: judge, Model: "rater", API: "chat", MaxTokens: 64}, Prices: []config.Price{{Of: judge, Prompt: 4}}})
	submit(t, env, config.Run{Name: "plain", Rankers: []string{"perplexity"}})
	return env
}

func submit(t *testing.T, env *app.Env, spec config.Run) {
	t.Helper()
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := env.Bus.KV("runs").Create(t.Context(), spec.Name+".spec", data); err != nil {
		t.Fatal(err)
	}
}

// run ranks in the background until the test ends.
func run(t *testing.T, env *app.Env) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, env) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// collect waits for n feedbacks, by subject.
func collect(t *testing.T, conn *bus.Conn, n int) map[string]*pb.Feedback {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	enough := errors.New("enough")
	all := map[string]*pb.Feedback{}
	err := conn.Follow(ctx, bus.Feedback, bus.FollowOptions{}, func(m *bus.Message) error {
		ev, err := m.Event(ctx)
		if err != nil {
			return err
		}
		if all[m.Subject] = ev.GetFeedback(); len(all) == n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("%d feedbacks of %d: %v", len(all), n, err)
	}
	return all
}

func TestRun(t *testing.T) {
	t.Parallel()
	r := newRater(t)
	env := bench(t, r.url)
	failed := grow(t, "r", 1)
	failed.Outcome, failed.Failure = pb.Outcome_OUTCOME_FAILED, pb.FailureClass_FAILURE_CLASS_UNPARSABLE
	ranked, plain := grow(t, "r", 0), grow(t, "plain", 0)
	for _, trajectory := range []*pb.Trajectory{failed, plain, ranked} {
		publish(t, env.Bus, trajectory)
	}
	run(t, env)
	all := collect(t, env.Bus, 3)
	checkJudged(t, all[bus.FeedbackSubject("llm", ranked.GetIdentity())])
	for _, trajectory := range []*pb.Trajectory{ranked, plain} {
		checkPerplexity(t, all[bus.FeedbackSubject("perplexity", trajectory.GetIdentity())])
	}
	if n := r.calls.Load(); n != stepGrounding {
		t.Errorf("%d calls, want one for each step with more than one option", n)
	}
	stands, err := env.Bus.Last(t.Context(), bus.Trajectories, bus.TrajectorySubject(ranked.GetIdentity()))
	if err != nil {
		t.Fatal(err)
	}
	ev, err := stands.Event(t.Context())
	if diff := cmp.Diff(ranked, ev.GetTrajectory(), protocmp.Transform()); err != nil || diff != "" {
		t.Errorf("the trajectory was changed: %v\n%s", err, diff)
	}
}

func checkJudged(t *testing.T, f *pb.Feedback) {
	t.Helper()
	if f.GetPrompt() != judge.RankVersion || f.GetModel() != "rater" || f.GetUsage().GetCalls() != stepGrounding || f.GetUsage().GetPromptTokens() != 500 || f.GetUsage().GetCostNano() != 4*500*1000 {
		t.Errorf("prompt %q, model %q, usage %v", f.GetPrompt(), f.GetModel(), f.GetUsage())
	}
	for i, s := range f.GetSteps() {
		switch {
		case int(s.GetStep()) != i:
			t.Errorf("step %d stands at %d", s.GetStep(), i)
		case i == stepGrounding:
			if s.GetRankedBy() != pb.RankedBy_RANKED_BY_SINGLE || len(s.GetSlots()) > 0 || !slices.Equal(s.GetRanking(), []int32{chosen}) {
				t.Errorf("%v, want nothing to rank", s)
			}
		case i == stepAnswer:
			if r := s.GetRanking(); r[len(r)-1] != preferred || !strings.Contains(s.GetExplanation(), "empty element") {
				t.Errorf("%v, want the one without thoughts last, whatever the judge says", s)
			}
		case s.GetRanking()[0] != preferred || s.GetRankedBy() != pb.RankedBy_RANKED_BY_RANKER || len(s.GetSlots()) != distinct ||
			s.GetExplanation() != "of 3 outputs it is the best":
			t.Errorf("%v, want what the judge preferred", s)
		}
	}
}

func checkPerplexity(t *testing.T, f *pb.Feedback) {
	t.Helper()
	for i, s := range f.GetSteps() {
		want := []int32{chosen, other, preferred}
		if i == stepGrounding {
			want = []int32{chosen}
		}
		if !slices.Equal(s.GetRanking(), want) || f.GetUsage().GetCalls() != 0 || f.GetPrompt() != "" {
			t.Errorf("step %d: %v, want %v without a call", i, s, want)
		}
	}
}

// TestOutage: a judge that is down delays the feedback, and that is all.
func TestOutage(t *testing.T) {
	t.Parallel()
	r := newRater(t)
	r.refuses.Store(http.StatusServiceUnavailable)
	env := bench(t, r.url)
	ranked := grow(t, "r", 0)
	publish(t, env.Bus, ranked)
	run(t, env)
	collect(t, env.Bus, 1) // perplexity's, which needs no judge
	if r.calls.Load() != 0 {
		t.Error("a judge that is down has answered")
	}
	r.refuses.Store(0)
	all := collect(t, env.Bus, 2)
	checkJudged(t, all[bus.FeedbackSubject("llm", ranked.GetIdentity())])
}

func TestUnknownRanker(t *testing.T) {
	t.Parallel()
	env := bench(t, "http://127.0.0.1:1/v1")
	env.Config.Rank.Rankers = []string{"oracle"}
	if err := Run(t.Context(), env); err == nil || !strings.Contains(err.Error(), "oracle") {
		t.Errorf("%v, want an error that names it", err)
	}
}
