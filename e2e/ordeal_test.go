package e2e

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// chaosSeed repeats the faults of an earlier test.
var chaosSeed = flag.Uint64("chaos.seed", 0, "seed of the faults and their moments; 0: another one each time")

// ordeal is a course of the run in which things go wrong, seen from outside: from the model server and the run's
// record.
type ordeal struct {
	t       *testing.T
	site    site
	cast    *cast
	conn    *bus.Conn
	random  *rand.Rand
	started time.Time
	within  time.Duration // recovery

	watching sync.WaitGroup
	mu       sync.Mutex // guards tally
	tally    tally
}

// newOrdeal starts the roles and submits the run.
func newOrdeal(t *testing.T, s site, seed uint64, roles ...string) *ordeal {
	t.Helper()
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("the faults: -chaos.seed=%d", seed)
	o := &ordeal{t: t, within: recovery, site: s, cast: newCast(t, s, roles...), random: rand.New(rand.NewPCG(seed, 0))}
	o.tally = tally{Test: t.Name(), Seed: seed, Faults: map[string]int{}, Recovery: map[string][]float64{}}
	s.submit(t)
	o.conn, o.started = s.connect(t), time.Now()
	return o
}

// state of the run; the zero value while the bus does not answer.
func (o *ordeal) state() runstate.State { return state(o.t.Context(), o.conn) }

// await waits for a phase; false if the run has left it already.
func (o *ordeal) await(phase string) (there bool) {
	o.t.Helper()
	eventually(o.t, "phase "+phase, time.Minute, func() bool {
		now := o.state()
		there = now.Phase == phase
		return there || now.Finished || slices.Index(phases, now.Phase) > slices.Index(phases, phase)
	})
	return there
}

// inflict has a fault happen, to its end; how the run recovers is watched beside whatever follows.
func (o *ordeal) inflict(f fault) {
	for _, p := range o.cast.players {
		if p.ended() {
			o.t.Fatalf("%s has ended by itself, with %d", p.name, p.ProcessState.ExitCode())
		}
	}
	var names []string
	for _, p := range o.hit(f) {
		names = append(names, p.asker)
	}
	calls := o.site.course.inFlight(names...)
	o.t.Logf("%s: %s; in flight: %d calls", time.Now().UTC().Format("15:04:05.000"), f.kind, len(calls))
	f.do()
	if f.lasts > 0 {
		<-time.After(f.lasts)
	}
	if f.undo != nil {
		f.undo()
	}
	o.note(f, len(calls))
	o.watching.Go(func() { o.watch(f, calls) })
}

// hit is whose work a fault may cost; the bus's is everybody's.
func (o *ordeal) hit(f fault) []*player {
	for _, p := range f.hits {
		if p.role == busName {
			return o.cast.players
		}
	}
	return f.hits
}

// note counts a fault and what it may cost: a call of each trajectory at work, and a trajectory's rankings, which have no journal.
func (o *ordeal) note(f fault, calls int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tally.Faults[f.kind]++
	o.tally.Cut += calls
	for _, p := range o.hit(f) {
		switch p.role {
		case "rollout-worker":
			o.tally.mayAgain += rolloutSlots + shardSize // which it may have been sent
			if f.stale {
				o.tally.mayAgain += rolloutSlots
			}
		case "rank-worker":
			o.tally.mayJudge += rankSlots * 20
		case "evaluator":
			o.tally.mayJudge += judgeSlots
		}
	}
}

// What a role may hold when it has nothing to do, after all faults.
const (
	mostFiles      = 40
	mostGoroutines = 60
)

// recovery is how long a run may take to go on: until the work of who is gone is delivered again, and five seconds.
const recovery = ackWait + 5*time.Second

// watch waits until the run goes on after a fault: a call is answered or the run's record changes, and every call
// that was in flight is answered or taken up by somebody.
func (o *ordeal) watch(f fault, calls cut) {
	begin, before := time.Now(), o.sight()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for moved := false; ; <-tick.C {
		now := o.state()
		moved = moved || before != o.sight()
		if now.Finished || moved && o.site.course.takenUp(calls) {
			break
		}
		if time.Since(begin) > 4*o.within {
			o.t.Errorf("%v after %q the run does not go on; %d calls cut off, moved %v; %+v", time.Since(begin).Round(time.Second), f.kind, len(calls), moved, now)
			break
		}
	}
	took := time.Since(begin)
	if took > o.within {
		o.t.Errorf("recovery from %q took %v, want at most %v", f.kind, took.Round(time.Millisecond), o.within)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tally.Recovery[f.kind] = append(o.tally.Recovery[f.kind], took.Round(time.Millisecond).Seconds())
}

// sight is what is to be seen of the run's progress.
func (o *ordeal) sight() string {
	now := o.state()
	return fmt.Sprint(o.site.course.answers(), o.site.course.begun(), now.Phase, now.Progress)
}

// finish waits for the run's end and compares the outcome with the undisturbed one.
func (o *ordeal) finish(want outcome) {
	t, c := o.t, o.site.course
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("the bus holds\n%s", o.cast.held())
		}
	}()
	o.site.finish(t, o.conn)
	o.watching.Wait()
	same(t, want, o.site.outcome(t, o.conn))
	c.checkJobs(t)
	c.checkReturns(t)
	_, plain := reference(t)
	calls, _, judged := plain.calls()
	y := &o.tally
	y.Calls, y.Paid, y.Judged = c.calls()
	y.Again, y.Judged, y.Seconds = c.askedAgain(), y.Judged-judged, time.Since(o.started).Seconds()
	if y.Calls != calls {
		t.Errorf("%d calls, want %d as undisturbed", y.Calls, calls)
	}
	if y.Again > y.mayAgain || y.Judged > y.mayJudge {
		t.Errorf("asked again: %d of the policies' calls and %d of the judge's, want at most %d and %d", y.Again, y.Judged, y.mayAgain, y.mayJudge)
	}
	y.Files, y.Goroutines = o.open()
	if y.Files > mostFiles || y.Goroutines > mostGoroutines {
		t.Errorf("a role that has nothing to do has %d files and %d goroutines, want at most %d and %d", y.Files, y.Goroutines, mostFiles, mostGoroutines)
	}
	y.Passed = !t.Failed()
	y.log(t)
}

// open counts what the roles hold at the end, when they have nothing to do.
func (o *ordeal) open() (files, goroutines int) {
	for _, p := range o.cast.players {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Process.Pid))
		if err != nil {
			o.t.Errorf("%s: %v", p.name, err)
		}
		files, goroutines = max(files, len(entries)), max(goroutines, p.goroutines(o.t))
	}
	return files, goroutines
}

// goroutines is the gauge of a role's metrics.
func (p *player) goroutines(t *testing.T) (n int) {
	t.Helper()
	reply, err := http.Get("http://" + p.http + "/metrics")
	if err != nil {
		t.Errorf("%s: %v", p.name, err)
		return 0
	}
	defer reply.Body.Close()
	text, _ := io.ReadAll(reply.Body)
	_, after, _ := strings.Cut(string(text), "\ngo_goroutines")
	_, after, _ = strings.Cut(after, " ")
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Errorf("%s: no go_goroutines in its metrics: %v", p.name, err)
	}
	return n
}
