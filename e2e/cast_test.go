package e2e

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// player is a process's place in a cast: killed, it is played by another.
type player struct {
	*process
	name, role string
	wire       *wire  // to the bus; nil in a cluster
	asker      string // what plays now calls itself, to the model server
	http       string // where its metrics are
	course     *course
	launch     func() *process
}

// begin starts what plays.
func (p *player) begin() {
	p.asker = fmt.Sprintf("%s-%s", p.name, rand.Text()[:6])
	p.course.born(p.asker)
	p.process = p.launch()
}

func (p *player) kill() {
	p.process.kill()
	p.course.died(p.asker)
}

// cast is the roles of a site as processes of their own, and the stand-alone nats-servers that they meet at: one, or
// the members of a cluster.
type cast struct {
	t       *testing.T
	site    site
	bus     []*player
	players []*player
}

// callTimeout bounds a call that hangs.
const callTimeout = 3 * time.Second

// busName is the server's name in a cast.
const busName = "nats-server"

// newCast starts the server and the roles, each as often as it is named.
func newCast(t *testing.T, s site, roles ...string) *cast {
	t.Helper()
	c := &cast{t: t, site: s, bus: servers(t, s)}
	for _, p := range c.bus {
		p.begin()
	}
	for _, role := range roles {
		c.add(role)
	}
	return c
}

// add starts one more of a role. Its API key names it, so that the model server knows who asks.
func (c *cast) add(role string) *player {
	p := &player{name: fmt.Sprintf("%s-%d", role, len(c.of(role))+1), role: role, course: c.site.course}
	way := []string{} // to the bus: to one server by a wire; a cluster's tell their addresses
	if len(c.site.members) == 0 {
		p.wire = newWire(c.t, c.site.bus)
		way = []string{"--set", "bus.url=nats://" + p.wire.Addr().String()}
	}
	p.launch = func() *process {
		key := filepath.Join(c.site.dir, "key-"+p.asker)
		write(c.t, key, c.site.key+keyEnd+p.asker)
		p.http = freeAddress(c.t)
		return start(c.t, c.site.config, role, append(way, "--set", "llm.key_file="+key,
			"--set", "llm.timeout="+callTimeout.String(), "--set", "http.listen="+p.http)...)
	}
	p.begin()
	c.players = append(c.players, p)
	return p
}

// of is the players of a role.
func (c *cast) of(role string) (all []*player) {
	if role == busName {
		return c.bus
	}
	for _, p := range c.players {
		if p.role == role {
			all = append(all, p)
		}
	}
	return all
}

// stop asks players to stop, one after the other, and expects them to do so in order.
func (c *cast) stop(players ...*player) {
	c.t.Helper()
	for _, p := range players {
		if code := p.stop(syscall.SIGTERM, 20*time.Second); code != 0 {
			c.t.Errorf("%s exits with %d when it is asked to stop, want 0", p.name, code)
		}
		p.course.died(p.asker)
	}
}
