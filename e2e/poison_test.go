package e2e

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// A fifth of all calls, the policies' and the judge's, ends in an error, in silence or in garbage; the mixture, the ledger and
// the decisions are those of the undisturbed run, byte for byte.
func TestFaultyEndpoint(t *testing.T) {
	long(t)
	want, plain := reference(t)
	s := newSite(t)
	seed := uint64(time.Now().UnixNano())
	s.course.blow(weather{20, rand.New(rand.NewPCG(seed, 0))})
	up := start(t, s.config, "ratchet", "up", "--set", "llm.timeout=1s", "--set", "llm.open_after=20")
	s.submit(t)
	conn, begin := s.connect(t), time.Now()
	s.finish(t, conn)
	t.Logf("seed %d: %v in %v", seed, s.course, time.Since(begin).Round(time.Millisecond))
	same(t, want, s.outcome(t, conn))
	s.course.checkJobs(t)
	s.course.checkReturns(t)
	if got, want := s.course.String(), plain.String(); got != want {
		t.Errorf("%s; want %s, as undisturbed", got, want)
	}
	if code := up.stop(syscall.SIGTERM, 20*time.Second); code != 0 {
		t.Errorf("ratchet up exits with %d", code)
	}
}

// A question of the pool kills the rollout worker with SIGKILL whenever it is asked. It is given up after six workers, with
// what is known about it, and the run ends with all the others; replayed, it is made up for.
func TestPoisonedQuestion(t *testing.T) {
	long(t)
	s := newSite(t)
	rollout := newCast(t, s, "coordinator", "rollout-worker", "rank-worker", "trainer-bridge", "evaluator").of("rollout-worker")[0]
	s.submit(t)
	conn := s.connect(t)
	eventually(t, "the phase grow", time.Minute, func() bool { return state(t.Context(), conn).Phase == "grow" })

	poison, struck := "", make(chan struct{}, 64)
	var mu sync.Mutex
	s.course.troubles(func(_ http.ResponseWriter, r *http.Request, body request) bool {
		if body.Model != novice {
			return false
		}
		question, _, _ := strings.Cut(body.Prompt, "\n")
		mu.Lock()
		if poison == "" {
			poison = question
		}
		mine := question == poison
		mu.Unlock()
		if mine {
			struck <- struct{}{}
			<-r.Context().Done()
		}
		return mine
	})
	deaths, begin := 0, time.Now()
	eventually(t, "the dead letter", 3*time.Minute, func() bool {
		select {
		case <-struck:
			deaths++
			rollout.kill()
			for len(struck) > 0 {
				<-struck
			}
			rollout.begin()
		default:
		}
		return len(letters(t, conn)) > 0
	})
	all := letters(t, conn)
	t.Logf("%d workers died in %v: %s", deaths, time.Since(begin).Round(time.Millisecond), all[0].GetError())
	if deaths < 6 || deaths > 7 || len(all) != 1 || all[0].GetFailure() != pb.FailureClass_FAILURE_CLASS_WORKER_KILLED || len(all[0].GetIdentities()) != 1 {
		t.Errorf("%d workers died, and left %v; want three over the shard, three over the question, and one letter", deaths, all)
	}
	s.finish(t, conn)
	if completed, dead, err := grown(t, s); completed != pool-1 || dead != 1 || err != nil {
		t.Errorf("%d trajectories completed, %d dead, %v; want all but one, and a ledger that adds up", completed, dead, err)
	}

	s.course.troubles(nil)
	for range 2 { // the second finds nothing to replay
		out, err := ratchet(t, s.config, "dead", "replay", "--run", runName, "--yes")
		t.Logf("%s%v", out, err)
	}
	eventually(t, "the trajectory", time.Minute, func() bool {
		completed, dead, err := grown(t, s) // it adds up again when the trajectory is there, and its feedback
		return completed == pool && dead == 0 && err == nil
	})
}

func letters(t *testing.T, conn *bus.Conn) (all []*pb.DeadLetter) {
	t.Helper()
	for m, err := range conn.Read(t.Context(), bus.Dead, bus.RunFilter(bus.Dead, runName)) {
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

// grown is what the ledger says of the generation's trajectories; the error is that it does not add up.
func grown(t *testing.T, s site) (completed, dead int, wrong error) {
	t.Helper()
	out, wrong := ratchet(t, s.config, "ledger", runName, "-o", "json")
	var ledger struct {
		Entries []struct {
			Purpose         string
			Completed, Dead int
		}
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&ledger); err != nil { // what was said on stderr may follow
		t.Fatalf("%v: %s", err, out)
	}
	for _, e := range ledger.Entries {
		if e.Purpose == "grow" {
			completed, dead = completed+e.Completed, dead+e.Dead
		}
	}
	return completed, dead, wrong
}
