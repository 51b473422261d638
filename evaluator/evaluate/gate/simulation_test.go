package gate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// The paper's evaluation: 125 questions of very different difficulty, ten repetitions.
const (
	simulatedQuestions   = 125
	simulatedRepetitions = 10
)

// world is what a simulation assumes.
type world struct {
	name string
	// effect is the true difference of accuracy; spread the standard deviation, over questions, of the true
	// difference around it: training makes some questions easier and others harder.
	effect, spread float64
	looks          []int
	evaluations    int
	// the share of promotions must lie between least and most.
	least, most float64
}

// TestErrorAndPower measures what doc.go promises. The bounds leave room for the noise of the simulation.
func TestErrorAndPower(t *testing.T) {
	t.Parallel()
	once, thrice := []int{10}, []int{2, 5, 10}
	for _, w := range []world{
		{"no better, one look", 0, 0, once, 600, 0, 0.05},
		{"no better, three looks", 0, 0, thrice, 600, 0, 0.05},
		{"no better but different, one look", 0, 0.15, once, 600, 0, 0.05},
		{"no better but different, three looks", 0, 0.15, thrice, 600, 0, 0.05},
		{"5 points better, one look", 0.05, 0.15, once, 300, 0.5, 1},
		{"5 points better, three looks", 0.05, 0.15, thrice, 300, 0.5, 1},
		{"10 points better, one look", 0.10, 0.15, once, 300, 0.97, 1},
		{"10 points better, three looks", 0.10, 0.15, thrice, 300, 0.97, 1},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			promoted, mean := w.simulate(t)
			t.Logf("promoted %.1f %% of %d evaluations, after %.1f of %d repetitions on average",
				100*promoted, w.evaluations, mean, simulatedRepetitions)
			if promoted < w.least || promoted > w.most {
				t.Errorf("promoted %.3f, want %v to %v", promoted, w.least, w.most)
			}
		})
	}
}

// simulate is the share of evaluations that promote, and the mean number of repetitions they took.
func (w world) simulate(t *testing.T) (promoted, repetitions float64) {
	random := rand.New(rand.NewPCG(20231210, uint64(len(w.name))))
	for range w.evaluations {
		ruling, took := w.evaluate(t, random)
		if ruling == pb.Ruling_RULING_PROMOTE {
			promoted++
		}
		repetitions += float64(took)
	}
	return promoted / float64(w.evaluations), repetitions / float64(w.evaluations)
}

// evaluate draws two policies and looks at them as planned until the gate has decided.
func (w world) evaluate(t *testing.T, random *rand.Rand) (ruling pb.Ruling, repetitions int) {
	challengers, incumbents := w.policies(random)
	challenger, incumbent := Arm{}, answered(incumbents, simulatedRepetitions, random)
	rule := Rule{Name: Bootstrap, Level: 0.05, Resamples: 2000, Seed: random.Uint64()}
	for look, until := range w.looks {
		challenger = challenger.plus(answered(challengers, until-repetitions, random))
		repetitions = until
		ruling = decide(t, rule, w.looks, look+1, challenger, incumbent).Ruling
		if ruling != pb.Ruling_RULING_CONTINUE {
			break
		}
	}
	return ruling, repetitions
}

// policies draws the chance to be right on each question: U-shaped over questions, as Bamboogle's are (easy or
// hopeless, seldom in between). Which arm gets which half of a difference is symmetric, so that the arms are
// exchangeable when the effect is 0.
func (w world) policies(random *rand.Rand) (challenger, incumbent []float64) {
	difficulty := distuv.Beta{Alpha: 1.0, Beta: 0.6, Src: random}
	challenger, incumbent = make([]float64, simulatedQuestions), make([]float64, simulatedQuestions)
	for i := range challenger {
		p, half := 0.05+0.85*difficulty.Rand(), w.spread*random.NormFloat64()/2
		challenger[i] = chance(p + half + w.effect)
		incumbent[i] = chance(p - half)
	}
	return challenger, incumbent
}

func chance(p float64) float64 { return math.Min(1, math.Max(0, p)) }

func answered(chances []float64, repetitions int, random *rand.Rand) Arm {
	a := Arm{Questions: make(map[string]Tally, len(chances))}
	for i, p := range chances {
		right := 0
		for range repetitions {
			if random.Float64() < p {
				right++
			}
		}
		a.Questions[token(i)] = Tally{Right: right, Of: repetitions}
	}
	return a
}

func (a Arm) plus(b Arm) Arm {
	sum := Arm{Questions: make(map[string]Tally, len(b.Questions))}
	for token, t := range b.Questions {
		sum.Questions[token] = Tally{Right: a.Questions[token].Right + t.Right, Of: a.Questions[token].Of + t.Of}
	}
	return sum
}

func token(i int) string { return fmt.Sprintf("q-%03d", i) }
