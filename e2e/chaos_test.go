package e2e

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

// chaosFaults is how many faults TestChaos has happen, over as many courses as that takes.
var chaosFaults = flag.Int("chaos.faults", 20, "how many faults TestChaos has happen")

// perCourse bounds the faults of one course of the run.
const perCourse = 25

// Random faults at random moments: whatever they are, the run ends as it does undisturbed.
func TestChaos(t *testing.T) {
	long(t)
	want, _ := reference(t)
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	total := tallies{}
	for course := 0; total.faults() < *chaosFaults && course < *chaosFaults; course++ {
		t.Run(fmt.Sprint(course), func(t *testing.T) {
			s := newSite(t)
			s.course.pace, s.course.judging = 2*latency, 2*latency
			o := newOrdeal(t, s, seed+uint64(course),
				"coordinator", "coordinator", "rollout-worker", "rollout-worker", "rank-worker", "rank-worker", "trainer-bridge", "trainer-bridge", "evaluator")
			defer func() { total.add(o.tally) }()
			o.suffer(min(perCourse, *chaosFaults-total.faults()))
			o.finish(want)
		})
	}
	t.Logf("-chaos.seed=%d\n%v", seed, total)
}

// suffer has so many faults happen, or as many as the run leaves time for, one after the other.
func (o *ordeal) suffer(faults int) {
	for range faults {
		before, calls := o.site.course.answers(), 1+o.random.IntN(50)
		pause := time.After(time.Duration(o.random.Int64N(int64(1500 * time.Millisecond)))) // where there are no calls
		eventually(o.t, "the next moment", time.Minute, func() bool {
			select {
			case <-pause:
				return true
			default:
				return o.site.course.answers() >= before+calls
			}
		})
		if o.state().Finished {
			return
		}
		o.inflict(o.draw())
		o.watching.Wait()
	}
}

// draw is a fault at random.
func (o *ordeal) draw() fault {
	c := o.cast
	p := c.players[o.random.IntN(len(c.players))]
	worker := c.of([]string{"rollout-worker", "rank-worker", "evaluator"}[o.random.IntN(3)])[0]
	while := time.Duration(o.random.Int64N(int64(3 * time.Second)))
	switch n := o.random.IntN(100); {
	case n < 25:
		return kill(p)
	case n < 35:
		return kill(c.of(p.role)...)
	case n < 42:
		return crash(while, p)
	case n < 54:
		return freeze(p)
	case n < 60:
		return kill(c.bus...)
	case n < 66:
		return crash(while, c.bus...)
	case n < 74:
		return part(worker, stalled)
	case n < 82:
		return part(p, broken)
	case n < 88:
		return c.storm(o.random)
	case n < 92:
		return c.outage(o.random)
	case n < 96:
		return c.roll()
	}
	return c.power()
}
