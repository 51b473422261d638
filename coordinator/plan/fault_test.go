package plan_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/fault"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// writes are those of a coordinator that conducts two generations, in the order in which they come. All but those of
// the first generation come in the second too.
var writes = []fault.Write{
	{Subject: "$KV.runs.r.spec"},
	{Subject: "$KV.runs.r.state"}, // the run is there
	{Subject: "$JS.API.CONSUMER.CREATE.TRAJECTORIES.rank-mine"},
	{Subject: "ratchet.v1.run.r.left"},
	{Subject: "$KV.runs.r.state"}, // it moves on
	{Subject: "ratchet.v1.run.r.entered"},
	{Subject: "ratchet.v1.task.rollout.r."},
	{Subject: "ratchet.v1.task.evaluate.r."},
	{Subject: "$JS.API.STREAM.PURGE.STEPS"},
	{Subject: "ratchet.v1.task.rollout.r.1", Skip: 1},
	{Subject: "ratchet.v1.task.build.r."},
	{Subject: "ratchet.v1.task.train.r."},
	{Subject: "ratchet.v1.task.deploy.r."},
	{Subject: "ratchet.v1.run.r.left", Contains: "r.2.left.train"},
	{Subject: "ratchet.v1.task.evaluate.r.2"},
	{Subject: "$JS.API.STREAM.PURGE.TASKS"},
	{Subject: "ratchet.v1.run.r.finished"},
	{Subject: "$KV.runs.r.state", Contains: `"finished": true`},
}

// longLease is not lost to a busy machine; nobody waits for it to run out.
const longLease = 15 * time.Second

// TestFaultsOfConducting: every write of a coordinator meets a fault, or is its last or the last before its last; the
// outcome is that of a run where nothing happened.
func TestFaultsOfConducting(t *testing.T) {
	t.Parallel()
	for _, k := range fault.All {
		for part, some := range slices.Collect(slices.Chunk(writes, (len(writes)+1)/2)) {
			t.Run(fmt.Sprintf("%s, part %d", k, part+1), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.cfg.Bus.LeaseTTL = longLease
				r.workers(twoGenerations)
				submitted := make(chan error, 1)
				spec := r.spec(4)
				go func() {
					_, err := r.ask("submit", spec)
					submitted <- err
				}()
				r.disturb(k, some)
				r.untilFinished()
				if err := <-submitted; err != nil {
					t.Errorf("submit: %v", err)
				}
				checkTwoGenerations(t, r)
			})
		}
	}
}

// disturb runs a coordinator, or one after the other if the fault is deadly, and has each of the writes meet the fault.
func (r *rig) disturb(k fault.Kind, writes []fault.Write) {
	r.t.Helper()
	link := fault.NewLink(r.t, r.cfg.Bus.URL)
	happened := link.Arm(writes[0], k)
	die := r.coordinatorThrough(link)
	var dying sync.WaitGroup
	r.t.Cleanup(dying.Wait)
	for i, w := range writes {
		select {
		case <-happened:
		case <-r.ctx.Done():
			r.t.Fatalf("write %d, %v: the fault never happened; the run's log: %v", i, w, r.logIDs())
		}
		next := fault.Write{Subject: "none is left"}
		if i+1 < len(writes) {
			next = writes[i+1]
		}
		if k.Deadly() {
			dying.Go(die)
			link = fault.NewLink(r.t, r.cfg.Bus.URL)
		}
		happened = link.Arm(next, k)
		if k.Deadly() {
			_ = r.conn.KV("leases").Delete(r.ctx, "coordinator")
			die = r.coordinatorThrough(link)
		}
	}
}

// coordinatorThrough is a coordinator behind a link.
func (r *rig) coordinatorThrough(l *fault.Link) (kill func()) {
	r.t.Helper()
	behind := *r
	behind.cfg.Bus.URL = l.URL()
	return behind.coordinator()
}

// TestFaultsOfRequests: an operator whose request or whose answer was lost sees no error, and what was asked for is done.
func TestFaultsOfRequests(t *testing.T) {
	t.Parallel()
	for endpoint, c := range map[string]struct {
		before []string // endpoints
		in     any
		done   func(*rig) bool
	}{
		"submit": {nil, nil, func(r *rig) bool { return r.state().Run == runName }},
		"pause":  {[]string{"submit"}, wish{Run: runName}, func(r *rig) bool { return r.state().Paused }},
		"resume": {[]string{"submit", "pause"}, wish{Run: runName}, func(r *rig) bool { return r.control().Want == runstate.WantRun && !r.state().Paused }},
		"cancel": {[]string{"submit"}, wish{Run: runName}, func(r *rig) bool { return strings.HasPrefix(r.state().Reason, "cancelled") }},
		"kind": {nil, map[string]string{"name": "shout"}, func(r *rig) bool {
			_, err := r.conn.Depth(r.ctx, bus.TaskSource("shout"))
			return err == nil
		}},
	} {
		for _, k := range fault.Pair {
			t.Run(endpoint+" "+k.String(), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.coordinator()
				spec := r.spec(4)
				if c.in == nil {
					c.in = spec
				}
				for _, before := range c.before {
					var in any = wish{Run: runName}
					if before == "submit" {
						in = spec
					}
					r.mustAsk(before, in)
				}
				if slices.Contains(c.before, "pause") {
					r.untilPaused()
				}
				l := fault.NewLink(t, r.cfg.Bus.URL)
				happened := l.Arm(fault.Write{Subject: "ratchet.v1.api." + endpoint}, k)
				operator := *r
				through := r.cfg.Bus
				through.URL = l.URL()
				operator.conn = devstack.TestConn(t, through)
				operator.mustAsk(endpoint, c.in)
				r.until("it is done", func() bool { return c.done(r) })
				select {
				case <-happened:
				case <-r.ctx.Done():
					t.Error("the fault never happened")
				}
			})
		}
	}
}

// control is the operator's wish that stands.
func (r *rig) control() (c runstate.Control) {
	r.t.Helper()
	value, _, err := r.conn.KV(runstate.Bucket).Get(r.ctx, runstate.ControlKey(runName))
	if err == nil {
		err = json.Unmarshal(value, &c)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}
