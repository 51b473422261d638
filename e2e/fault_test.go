package e2e

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// fault is something that goes wrong with a cast, and how it is over.
type fault struct {
	kind string
	// hits is whose work in flight may have to be done again.
	hits []*player
	// stale: who is hit lives on, and works beside whoever has taken over, until an append of one of them fails.
	stale bool
	do    func()
	lasts time.Duration
	undo  func()
}

// kill is SIGKILL of some players at once; all are started again at once.
func kill(players ...*player) fault {
	return fault{kind: "kill " + players[0].role, hits: players, do: func() {
		for _, p := range players {
			p.kill()
		}
	}, undo: func() {
		for _, p := range players {
			p.begin()
		}
	}}
}

// crash is kill, but with some time before the players are started again.
func crash(lasts time.Duration, players ...*player) fault {
	f := kill(players...)
	f.kind, f.lasts = f.kind+", later started again", lasts
	return f
}

// freeze is SIGSTOP for so long that others take the work over, then SIGCONT: the stale one lives on.
func freeze(p *player) fault {
	return fault{
		kind: "freeze " + p.role, hits: []*player{p}, stale: true, lasts: ackWait + time.Second,
		do:   func() { _ = p.Process.Signal(syscall.SIGSTOP) },
		undo: func() { _ = p.Process.Signal(syscall.SIGCONT) },
	}
}

// part is a partition between a player and the bus: stalled or broken.
func part(p *player, how wireState) fault {
	return fault{
		kind: map[wireState]string{stalled: "stall ", broken: "cut "}[how] + p.role + " off the bus", hits: []*player{p}, stale: true, lasts: ackWait + time.Second,
		do:   func() { p.wire.set(how) },
		undo: func() { p.wire.set(sound) },
	}
}

// storm is an endpoint of which one request in five fails, in every way.
func (c *cast) storm(random *rand.Rand) fault {
	return fault{
		kind: "endpoint fails 20 %", lasts: 3 * time.Second,
		do:   func() { c.site.course.blow(weather{20, random}) },
		undo: func() { c.site.course.blow(weather{}) },
	}
}

// outage is an endpoint that answers nothing.
func (c *cast) outage(random *rand.Rand) fault {
	f := c.storm(random)
	f.kind, f.do = "endpoint down", func() { c.site.course.blow(weather{100, random}) }
	return f
}

// roll restarts every role in turn, in good order.
func (c *cast) roll() fault {
	return fault{kind: "rolling restart", do: func() {
		for _, p := range c.players {
			c.stop(p)
			p.begin()
		}
	}}
}

// power kills everything at once, the bus too, and starts it again.
func (c *cast) power() fault {
	f := kill(append(slices.Clone(c.bus), c.players...)...)
	f.kind = "kill everything"
	return f
}
