package demo

import (
	"math/rand/v2"

	"github.com/ratchet-rl/ratchet/internal/pocket/lang"
)

// Range of a habit's rate.
type Range [2]float64

// Sloppiness says how often the demonstrator falls into each habit. The rates of a habit are spread evenly over its
// range and dealt to the relations by a seed, so that with some relations the wrong action is the usual one: noise
// spread evenly would leave the right action the most likely, and nothing for a ranker to improve.
type Sloppiness struct {
	// Ask a sibling relation instead of the needed one.
	Sibling Range `json:"sibling"`
	// Stop before all is known, after a first search.
	Early Range `json:"early"`
	// Select the link that states the sibling relation.
	Select Range `json:"select"`
	// Answer with the first hop's value.
	Bridge Range `json:"bridge"`
	// Pass let a wrong answer pass a check, whatever the relation.
	Pass float64 `json:"pass"`
}

// Sloppy is the sloppiness of the base models' teacher.
var Sloppy = Sloppiness{Sibling: Range{0, .4}, Early: Range{0, .4}, Select: Range{0, .4}, Bridge: Range{.2, .8}, Pass: .5}

// habits are one demonstrator's rates, by relation.
type habits struct {
	sibling, early, selects, bridge map[*lang.Relation]float64
	pass                            float64
}

func newHabits(s Sloppiness, r *rand.Rand) habits {
	return habits{deal(s.Sibling, r), deal(s.Early, r), deal(s.Select, r), deal(s.Bridge, r), s.Pass}
}

// deal gives each relation another one of the evenly spaced quantiles of a range.
func deal(span Range, r *rand.Rand) map[*lang.Relation]float64 {
	n := len(lang.Relations)
	rates := make(map[*lang.Relation]float64, n)
	for i, quantile := range r.Perm(n) {
		rates[&lang.Relations[i]] = span[0] + (span[1]-span[0])*(float64(quantile)+.5)/float64(n)
	}
	return rates
}
