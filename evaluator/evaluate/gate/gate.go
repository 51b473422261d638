package gate

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/statistics"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// The rules of a decision.
const (
	// Bootstrap promotes when the paired interval lies above the margin.
	Bootstrap = config.RuleBootstrap
	// Paper promotes when the mean is higher by more than the margin (paper, 3.4).
	Paper = config.RulePaper
)

// Rule says what has to be shown. It is declared with the run, before the first look.
type Rule struct {
	// Name is Bootstrap or Paper.
	Name string
	// Level is the error that all looks together may spend, two-sided, in (0, 1).
	Level float64
	// Margin that the difference of accuracy must exceed.
	Margin float64
	// Resamples of the bootstrap.
	Resamples int
	// Seed of the bootstrap.
	Seed uint64
}

// Tally is how often a question was answered right.
type Tally struct{ Right, Of int }

func (t Tally) rate() float64 { return float64(t.Right) / float64(t.Of) }

// Arm is one policy's evaluation.
type Arm struct {
	// Questions by token.
	Questions map[string]Tally
	// Missing counts the trajectories without a verdict.
	Missing int
}

// Finding is a decision with its evidence. Effect, Low and High are differences of accuracy, in [-1, 1].
type Finding struct {
	Ruling pb.Ruling
	// Reason says it in words, with what would have decided an undecided one.
	Reason            string
	Effect, Low, High float64
	// Alpha is what this look could spend; the interval is at 1-Alpha.
	Alpha float64
	// Questions were compared; the challenger answers Gained of them better and Lost of them worse.
	Questions, Gained, Lost int
}

// Decide compares the challenger with the incumbent at a planned look, counted from 1. The looks are given as
// repetitions so far, rising. An error means that the rule or the plan cannot be followed, never that evidence
// is wanting: that is a Finding which is undecided.
func Decide(rule Rule, looks []int, look int, challenger, incumbent Arm) (Finding, error) {
	if err := rule.validate(); err != nil {
		return Finding{}, err
	}
	alphas, err := Spend(rule.Level, looks)
	if err != nil {
		return Finding{}, err
	}
	if look < 1 || look > len(looks) {
		return Finding{}, fmt.Errorf("look %d is not planned: expected 1 to %d", look, len(looks))
	}
	found := Finding{Alpha: alphas[look-1], Low: -1, High: 1}
	if reason := incomparable(challenger, incumbent); reason != "" {
		found.Ruling, found.Reason = pb.Ruling_RULING_UNDECIDED, reason
		return found, nil
	}
	pairs := pair(challenger, incumbent)
	found.measure(rule, pairs)
	found.rule(rule, pairs, look == len(looks))
	return found, nil
}

func (r Rule) validate() error {
	switch {
	case r.Name != Bootstrap && r.Name != Paper:
		return fmt.Errorf("gate rule %q: expected %s or %s", r.Name, Bootstrap, Paper)
	case !(r.Level > 0 && r.Level < 1):
		return fmt.Errorf("gate level %v: expected more than 0 and less than 1", r.Level)
	case !(r.Margin >= 0 && r.Margin <= 1):
		return fmt.Errorf("gate margin %v: expected 0 to 1", r.Margin)
	case r.Resamples < 1:
		return errors.New("gate resamples: expected at least 1")
	}
	return nil
}

// incomparable says why the two arms are no evidence; empty when they are.
func incomparable(challenger, incumbent Arm) string {
	if challenger.Missing > 0 || incumbent.Missing > 0 {
		return fmt.Sprintf("incomplete: %d answers of the challenger and %d of the incumbent have no verdict; "+
			"`ratchet dead` says why", challenger.Missing, incumbent.Missing)
	}
	if len(challenger.Questions) == 0 {
		return "no question was evaluated"
	}
	shared := 0
	for token, t := range challenger.Questions {
		if u, ok := incumbent.Questions[token]; ok && t.Of > 0 && u.Of > 0 {
			shared++
		}
	}
	if shared != len(challenger.Questions) || shared != len(incumbent.Questions) {
		return fmt.Sprintf("not the same questions: %d of the challenger, %d of the incumbent, %d answered by both; "+
			"evaluate both on one set", len(challenger.Questions), len(incumbent.Questions), shared)
	}
	return ""
}

// pairing is one question, answered by both arms.
type pairing struct{ challenger, incumbent Tally }

func (p pairing) difference() float64 { return p.challenger.rate() - p.incumbent.rate() }

// pair puts the arms side by side, in the order of the tokens: the seed then means the same everywhere.
func pair(challenger, incumbent Arm) []pairing {
	pairs := make([]pairing, 0, len(challenger.Questions))
	for _, token := range slices.Sorted(maps.Keys(challenger.Questions)) {
		pairs = append(pairs, pairing{challenger.Questions[token], incumbent.Questions[token]})
	}
	return pairs
}

func differences(pairs []pairing) []float64 {
	d := make([]float64, len(pairs))
	for i, p := range pairs {
		d[i] = p.difference()
	}
	return d
}

// same is the distance below which two accuracies are equal: sums of tenths are not exact.
const same = 1e-9

func (f *Finding) measure(rule Rule, pairs []pairing) {
	d := differences(pairs)
	f.Questions = len(d)
	f.Effect, _ = statistics.MeanStd(d)
	f.Low, f.High = interval(d, f.Alpha, rule.Resamples, rule.Seed)
	for _, v := range d {
		if v > same {
			f.Gained++
		} else if v < -same {
			f.Lost++
		}
	}
}

func (f *Finding) rule(rule Rule, pairs []pairing, last bool) {
	if rule.Name == Paper {
		f.rulePaper(rule.Margin, last)
		return
	}
	fewest := fewestDiffering(f.Alpha)
	differing := f.Gained + f.Lost
	switch {
	case f.Low > rule.Margin+same && differing >= fewest:
		f.Ruling, f.Reason = pb.Ruling_RULING_PROMOTE, "better: "+f.evidence(rule)
	case f.High <= rule.Margin+same:
		f.Ruling, f.Reason = pb.Ruling_RULING_REJECT, "not better: "+f.evidence(rule)
	case !last:
		f.Ruling, f.Reason = pb.Ruling_RULING_CONTINUE, "not clear yet: "+f.evidence(rule)
	case differing < fewest:
		f.Ruling, f.Reason = pb.Ruling_RULING_UNDECIDED, fmt.Sprintf(
			"undecided: %s; only %d questions differ, and fewer than %d prove nothing at this level",
			f.evidence(rule), differing, fewest)
	default:
		f.Ruling, f.Reason = pb.Ruling_RULING_UNDECIDED, "undecided: "+f.evidence(rule)+"; "+
			advice(newNoise(pairs), f.Effect-rule.Margin, f.Alpha)
	}
}

func (f *Finding) rulePaper(margin float64, last bool) {
	switch {
	case !last:
		f.Ruling, f.Reason = pb.Ruling_RULING_CONTINUE, "the paper's rule looks once, at the end"
	case f.Effect > margin+same:
		f.Ruling = pb.Ruling_RULING_PROMOTE
		f.Reason = fmt.Sprintf("higher mean: %s points, more than the margin of %s", points(f.Effect), points(margin))
	default:
		f.Ruling = pb.Ruling_RULING_REJECT
		f.Reason = fmt.Sprintf("no higher mean: %s points, the margin is %s", points(f.Effect), points(margin))
	}
}

func (f *Finding) evidence(rule Rule) string {
	return fmt.Sprintf("%s points (%.4g %% interval %s to %s, margin %s) over %d questions, %d gained, %d lost",
		points(f.Effect), 100*(1-f.Alpha), points(f.Low), points(f.High), points(rule.Margin), f.Questions, f.Gained, f.Lost)
}

// points prints a difference of accuracy in percentage points.
func points(v float64) string {
	if math.Abs(v) < same {
		return "0.0"
	}
	return fmt.Sprintf("%+.1f", 100*v)
}

// fewestDiffering is the smallest m with 2^(1-m) <= alpha. If m questions differ and all speak for the same
// arm, swapping the arms' names at random does as much with the chance 2^(1-m), two-sided: no test of the
// pairs can be significant with fewer.
func fewestDiffering(alpha float64) int {
	return 1 + int(math.Ceil(math.Log2(1/alpha)))
}
