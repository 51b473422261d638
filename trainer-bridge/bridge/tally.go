package bridge

import (
	"maps"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/agent"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// tally counts what went into a mixture and what did not.
type tally struct {
	trajectories, changed, unranked int64
	byKind, dropped                 map[string]int64
	templates                       map[string]map[string]bool // of each kind, name@version
	policy                          string
}

// example counts step number i of a trajectory, which trains towards target.
func (c *tally) example(t *ranked, i int, step *pb.Step, target int) {
	kind := agent.KindName(step.GetKind())
	count(&c.byKind, kind, 1)
	c.template(kind, step.GetTemplate())
	c.policy = t.GetPolicy().GetName()
	if target != t.chosen(i) {
		c.changed++
	}
	if t.best[i] < 0 {
		c.unranked++
	}
}

func (c *tally) template(kind, template string) {
	if c.templates == nil {
		c.templates = map[string]map[string]bool{}
	}
	if c.templates[kind] == nil {
		c.templates[kind] = map[string]bool{}
	}
	c.templates[kind][template] = true
}

func (c *tally) drop(reason string, examples int) { count(&c.dropped, reason, int64(examples)) }

func (c *tally) examples() int64 {
	var sum int64
	for _, n := range c.byKind {
		sum += n
	}
	return sum
}

// add adds the counts of a part. An improve step after the first goes through the same trajectories again: it has
// examples of its own, but no new trajectories, and nothing more is left out.
func (c *tally) add(pass int, part *tally) {
	c.changed += part.changed
	c.unranked += part.unranked
	for kind, n := range part.byKind {
		count(&c.byKind, kind, n)
	}
	for kind, templates := range part.templates {
		for template := range templates {
			c.template(kind, template)
		}
	}
	if part.policy != "" {
		c.policy = part.policy // the last is this generation's: keys are in order
	}
	if pass > 0 {
		return
	}
	c.trajectories += part.trajectories
	for reason, n := range part.dropped {
		count(&c.dropped, reason, n)
	}
}

// describe writes the counts into a manifest.
func (c *tally) describe(m *Manifest) {
	m.Examples, m.Trajectories, m.Changed, m.Unranked = c.examples(), c.trajectories, c.changed, c.unranked
	m.Policy = c.policy
	m.ExamplesByKind, m.Dropped, m.Templates = map[string]int64{}, map[string]int64{}, map[string][]string{}
	maps.Copy(m.ExamplesByKind, c.byKind)
	maps.Copy(m.Dropped, c.dropped)
	for kind, templates := range c.templates {
		m.Templates[kind] = slices.Sorted(maps.Keys(templates))
	}
}

func count(counts *map[string]int64, name string, n int64) {
	if *counts == nil {
		*counts = map[string]int64{}
	}
	(*counts)[name] += n
}
