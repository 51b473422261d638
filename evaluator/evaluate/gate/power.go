package gate

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ratchet-rl/ratchet/internal/statistics"
)

// power is the chance to see a difference that is there, for which the advice is given.
const power = 0.80

// noise splits the variance of the differences: what more repetitions cut, and what only more questions do.
type noise struct {
	questions, repetitions int
	// between is the variance over questions of the true differences, within the variance of the measured
	// ones around them; between may come out as 0.
	between, within float64
}

// newNoise estimates the parts. With R answers of which the share p is right, p(1-p)/(R-1) estimates the
// variance of p without bias; one answer says nothing of it, and then all counts as between.
func newNoise(pairs []pairing) noise {
	n := noise{questions: len(pairs), repetitions: pairs[0].challenger.Of}
	for _, p := range pairs {
		n.within += (p.challenger.meanVariance() + p.incumbent.meanVariance()) / float64(len(pairs))
	}
	_, std := statistics.MeanStd(differences(pairs))
	n.within = min(n.within, std*std)
	n.between = std*std - n.within
	return n
}

func (t Tally) meanVariance() float64 {
	if t.Of < 2 {
		return 0
	}
	return t.rate() * (1 - t.rate()) / float64(t.Of-1)
}

// detectable is the smallest true difference that the gate sees with the declared power, times longer
// repetitions (in both arms); +Inf leaves the noise between questions.
func (n noise) detectable(alpha, times float64) float64 {
	z := distuv.UnitNormal.Quantile(1-alpha/2) + distuv.UnitNormal.Quantile(power)
	return z * math.Sqrt((n.between+n.within/times)/float64(n.questions))
}

// questionsFor is how many questions, repeated as now, would show a true difference of that size.
func (n noise) questionsFor(effect, alpha float64) int {
	ratio := n.detectable(alpha, 1) / effect
	return int(math.Ceil(float64(n.questions) * ratio * ratio))
}

// repetitionsFor is how many repetitions of the same questions would; no number would if what differs between
// the questions alone hides it.
func (n noise) repetitionsFor(effect, alpha float64) (repetitions int, possible bool) {
	need, floor := effect*effect, n.detectable(alpha, math.Inf(1))
	gain := n.detectable(alpha, 1)
	if floor*floor >= need {
		return 0, false
	}
	times := (gain*gain - floor*floor) / (need - floor*floor)
	return int(math.Ceil(float64(n.repetitions) * times)), true
}

// advice says in words what this evaluation could have seen and what it would take to see the effect found,
// were it true. The effect is what exceeds the margin.
func advice(n noise, effect, alpha float64) string {
	seen := fmt.Sprintf("this evaluation sees differences of %.1f points or more in %.0f %% of cases",
		100*n.detectable(alpha, 1), 100*power)
	if effect <= same {
		return seen + "; more of it would hardly promote this policy"
	}
	if n.detectable(alpha, 1) <= effect {
		return seen + ", so this was bad luck"
	}
	need := fmt.Sprintf("%s; to see %.1f takes about %d questions", seen, 100*effect, n.questionsFor(effect, alpha))
	if repetitions, possible := n.repetitionsFor(effect, alpha); possible {
		return fmt.Sprintf("%s, or %d repetitions of these, for both policies", need, repetitions)
	}
	return need + "; more repetitions of these would not do"
}
