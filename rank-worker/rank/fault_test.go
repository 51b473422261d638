package rank

import (
	"context"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/fault"
)

// TestFaultsOfRanking: every write of a ranker meets a fault, or is its last or the last before its last. There is one
// feedback, which is what the judge preferred, and it is paid for again only if it was not out.
func TestFaultsOfRanking(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]fault.Write{
		"feedback": {Subject: "ratchet.v1.feedback.llm.r"},
		"ack":      {Subject: "$JS.ACK.TRAJECTORIES.rank-llm", Contains: "+ACK"},
	} {
		for _, k := range fault.All {
			t.Run(name+" "+k.String(), func(t *testing.T) {
				t.Parallel()
				rater := newRater(t)
				env := bench(t, rater.url)
				env.Config.Rank.Rankers = []string{"llm"}
				link := fault.NewLink(t, env.Config.Bus.URL)
				happened := link.Arm(w, k)
				die := runBehind(t, env, link)
				publish(t, env.Bus, grow(t, "r", 0))
				select {
				case <-happened:
				case <-time.After(time.Minute):
					t.Fatal("the fault never happened")
				}
				if k.Deadly() {
					die()
					run(t, env)
				}
				settled(t, env.Bus)
				all := recorded(t, env.Bus)
				if len(all) != 1 {
					t.Fatalf("%d feedbacks, want 1", len(all))
				}
				checkJudged(t, all[0])
				want := int64(stepGrounding)
				if name == "feedback" && k == fault.DeathBefore {
					want *= 2
				}
				if n := rater.calls.Load(); n != want {
					t.Errorf("%d calls, want %d", n, want)
				}
			})
		}
	}
}

// runBehind ranks behind a link until it dies: nothing of what it does next reaches the bus.
func runBehind(t *testing.T, env *app.Env, l *fault.Link) (die func()) {
	t.Helper()
	cfg := env.Config
	cfg.Bus.URL = l.URL()
	behind, err := app.Open(t.Context(), "rank-worker", cfg, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(behind.LLM.Close)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = Run(ctx, behind)
	}()
	die = func() {
		behind.Close()
		stop()
		<-done
	}
	t.Cleanup(die)
	return die
}

// settled waits until the ranker has acknowledged all.
func settled(t *testing.T, conn *bus.Conn) {
	t.Helper()
	devstack.TestSettled(t, conn, bus.RankSource("llm"))
}
