package e2e

import (
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
)

// Of three servers that are one, members and leaders are killed and frozen; the run ends as it does with one server,
// undisturbed.
func TestChaosCluster(t *testing.T) {
	long(t)
	want, _ := reference(t)
	s := clustered(t, newSite(t))
	s.course.pace, s.course.judging = 3*latency, 3*latency
	o := newOrdeal(t, s, *chaosSeed,
		"coordinator", "coordinator", "rollout-worker", "rollout-worker", "rank-worker", "rank-worker", "trainer-bridge", "evaluator")
	o.within += 10 * time.Second // which an election of NATS takes at most
	c := o.cast
	member := func() *player { return c.bus[o.random.IntN(len(c.bus))] }
	leader := func(stream string) func() *player { return func() *player { return c.leader(stream) } }
	for _, f := range []struct {
		kind string
		who  func() *player
		with func(*player) fault
	}{
		{"kill a member", member, func(p *player) fault { return crash(2*time.Second, p) }},
		{"kill the leader of TASKS", leader(bus.Tasks), func(p *player) fault { return crash(2*time.Second, p) }},
		{"kill the leader of STEPS", leader(bus.Steps), func(p *player) fault { return crash(2*time.Second, p) }},
		{"kill the cluster's leader", leader(""), func(p *player) fault { return crash(2*time.Second, p) }},
		{"freeze the leader of TRAJECTORIES", leader(bus.Trajectories), freeze},
		{"kill all members", member, func(*player) fault { return kill(c.bus...) }},
		{"kill both coordinators", member, func(*player) fault { return kill(c.of("coordinator")...) }},
	} {
		c.healthy()
		if o.state().Finished {
			break
		}
		fault := f.with(f.who())
		fault.kind = "cluster: " + f.kind
		o.inflict(fault)
		o.watching.Wait()
	}
	o.finish(want)
}
