package gate

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// bootstrap is the rule that most tests use.
var bootstrap = Rule{Name: Bootstrap, Level: 0.05, Resamples: 2000, Seed: 1}

// arm makes an arm whose question i was answered right right[i] times of 10.
func arm(right ...int) Arm {
	a := Arm{Questions: map[string]Tally{}}
	for i, r := range right {
		a.Questions[token(i)] = Tally{Right: r, Of: 10}
	}
	return a
}

// even makes an arm of n questions with the same tally.
func even(n, right int) Arm {
	all := make([]int, n)
	for i := range all {
		all[i] = right
	}
	return arm(all...)
}

func decide(t rapid.TB, rule Rule, looks []int, look int, challenger, incumbent Arm) Finding {
	t.Helper()
	found, err := Decide(rule, looks, look, challenger, incumbent)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDecide(t *testing.T) {
	t.Parallel()
	mixed := arm(9, 1, 8, 2, 7, 3, 6, 5, 9, 1, 6, 4)
	missing := even(12, 9)
	missing.Missing = 1
	margin := bootstrap
	margin.Margin = 0.2
	paper := Rule{Name: Paper, Level: 0.05, Resamples: 2000}
	for _, c := range []struct {
		name                  string
		rule                  Rule
		looks                 []int
		look                  int
		challenger, incumbent Arm
		want                  pb.Ruling
		reason                string
	}{
		{"clearly better", bootstrap, []int{10}, 1, even(12, 9), even(12, 5), pb.Ruling_RULING_PROMOTE, "+40.0 points"},
		{"clearly worse", bootstrap, []int{10}, 1, even(12, 5), even(12, 9), pb.Ruling_RULING_REJECT, "-40.0 points"},
		{"identical", bootstrap, []int{10}, 1, even(12, 5), even(12, 5), pb.Ruling_RULING_REJECT, "not better"},
		{"better, but not by the margin", margin, []int{10}, 1, even(12, 6), even(12, 5), pb.Ruling_RULING_REJECT, "margin +20.0"},
		{"unclear at the last look", bootstrap, []int{10}, 1, mixed, even(12, 5), pb.Ruling_RULING_UNDECIDED, "questions"},
		{"unclear before the last look", bootstrap, []int{5, 10}, 1, mixed, even(12, 5), pb.Ruling_RULING_CONTINUE, "not clear yet"},
		{"clear at an early look", bootstrap, []int{5, 10}, 1, even(40, 9), even(40, 3), pb.Ruling_RULING_PROMOTE, "better"},
		{"five questions prove nothing", bootstrap, []int{10}, 1, even(5, 10), even(5, 0), pb.Ruling_RULING_UNDECIDED, "fewer than 6"},
		{"six questions can", bootstrap, []int{10}, 1, even(6, 10), even(6, 0), pb.Ruling_RULING_PROMOTE, "6 gained"},
		{"one question", bootstrap, []int{10}, 1, even(1, 10), even(1, 0), pb.Ruling_RULING_UNDECIDED, "prove nothing"},
		{"no question", bootstrap, []int{10}, 1, Arm{}, Arm{}, pb.Ruling_RULING_UNDECIDED, "no question"},
		{"challenger's verdict missing", bootstrap, []int{10}, 1, missing, even(12, 1), pb.Ruling_RULING_UNDECIDED, "incomplete: 1"},
		{"incumbent's verdict missing", bootstrap, []int{10}, 1, even(12, 9), missing, pb.Ruling_RULING_UNDECIDED, "incomplete: 0"},
		{"missing at an early look", bootstrap, []int{5, 10}, 1, missing, even(12, 1), pb.Ruling_RULING_UNDECIDED, "incomplete"},
		{"other questions", bootstrap, []int{10}, 1, even(12, 9), even(13, 1), pb.Ruling_RULING_UNDECIDED, "not the same questions"},
		{"paper: higher", paper, []int{10}, 1, arm(6, 5), arm(5, 5), pb.Ruling_RULING_PROMOTE, "higher mean: +5.0"},
		{"paper: equal", paper, []int{10}, 1, arm(6, 5), arm(5, 6), pb.Ruling_RULING_REJECT, "no higher mean: 0.0"},
		{"paper: too early", paper, []int{5, 10}, 1, arm(6, 5), arm(5, 5), pb.Ruling_RULING_CONTINUE, "once"},
		{"paper: missing", paper, []int{10}, 1, missing, even(12, 1), pb.Ruling_RULING_UNDECIDED, "incomplete"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found := decide(t, c.rule, c.looks, c.look, c.challenger, c.incumbent)
			if found.Ruling != c.want || !strings.Contains(found.Reason, c.reason) {
				t.Errorf("got %v, %q; want %v with %q", found.Ruling, found.Reason, c.want, c.reason)
			}
		})
	}
}

func TestDecideRefusesAnUnusableRule(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule  Rule
		looks []int
		look  int
	}{
		"unknown rule":    {Rule{Name: "hunch", Level: 0.05, Resamples: 10}, []int{10}, 1},
		"level 0":         {Rule{Name: Bootstrap, Resamples: 10}, []int{10}, 1},
		"level NaN":       {Rule{Name: Bootstrap, Level: math.NaN(), Resamples: 10}, []int{10}, 1},
		"negative margin": {Rule{Name: Bootstrap, Level: 0.05, Margin: -0.1, Resamples: 10}, []int{10}, 1},
		"no resamples":    {Rule{Name: Bootstrap, Level: 0.05}, []int{10}, 1},
		"no looks":        {bootstrap, nil, 1},
		"falling looks":   {bootstrap, []int{5, 3}, 1},
		"unplanned look":  {bootstrap, []int{5, 10}, 3},
		"look 0":          {bootstrap, []int{5, 10}, 0},
	} {
		if found, err := Decide(c.rule, c.looks, c.look, even(12, 9), even(12, 1)); err == nil {
			t.Errorf("%s: got %v, want an error", name, found.Ruling)
		}
	}
}

func TestSpendSumsToTheLevel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		level := rapid.Float64Range(0.001, 0.5).Draw(t, "level")
		steps := rapid.SliceOfN(rapid.IntRange(1, 20), 1, 8).Draw(t, "steps")
		looks, at := make([]int, len(steps)), 0
		for i, step := range steps {
			at += step
			looks[i] = at
		}
		alphas, err := Spend(level, looks)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, a := range alphas {
			if a <= 0 {
				t.Fatalf("looks %v spend %v: every look must spend something", looks, alphas)
			}
			sum += a
		}
		if math.Abs(sum-level) > 1e-12 {
			t.Fatalf("looks %v spend %v in all, want %v", looks, sum, level)
		}
	})
}

// arms draws two arms over the same questions.
func arms(t *rapid.T) (challenger, incumbent Arm) {
	n := rapid.IntRange(1, 60).Draw(t, "questions")
	right := rapid.SliceOfN(rapid.IntRange(0, 10), n, n)
	return arm(right.Draw(t, "challenger")...), arm(right.Draw(t, "incumbent")...)
}

func TestDecisionIsAFunctionOfItsSeed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		challenger, incumbent := arms(t)
		rule := Rule{Name: Bootstrap, Level: 0.05, Resamples: 200, Seed: rapid.Uint64().Draw(t, "seed")}
		first := decide(t, rule, []int{10}, 1, challenger, incumbent)
		second := decide(t, rule, []int{10}, 1, challenger, incumbent)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("the same input decided twice differs (-first +second):\n%s", diff)
		}
	})
}

func TestExchangingTheArmsMirrorsTheInterval(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		challenger, incumbent := arms(t)
		rule := Rule{Name: Bootstrap, Level: 0.1, Resamples: 200, Seed: 3}
		there := decide(t, rule, []int{10}, 1, challenger, incumbent)
		back := decide(t, rule, []int{10}, 1, incumbent, challenger)
		if there.Low != -back.High || there.High != -back.Low || there.Gained != back.Lost {
			t.Fatalf("[%v, %v] against [%v, %v]: want mirror images", there.Low, there.High, back.Low, back.High)
		}
		if there.Ruling == pb.Ruling_RULING_PROMOTE && back.Ruling == pb.Ruling_RULING_PROMOTE {
			t.Fatal("each arm is better than the other")
		}
	})
}

func TestIdenticalArmsAreNeverPromoted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		challenger, _ := arms(t)
		name := rapid.SampledFrom([]string{Bootstrap, Paper}).Draw(t, "rule")
		rule := Rule{Name: name, Level: 0.2, Resamples: 100, Seed: rapid.Uint64().Draw(t, "seed")}
		if found := decide(t, rule, []int{10}, 1, challenger, challenger); found.Ruling == pb.Ruling_RULING_PROMOTE {
			t.Fatalf("promoted against itself: %s", found.Reason)
		}
	})
}

func TestTooFewResamplesPromoteNothing(t *testing.T) {
	t.Parallel()
	rule := Rule{Name: Bootstrap, Level: 0.05, Resamples: 20, Seed: 1}
	found := decide(t, rule, []int{10}, 1, even(50, 10), even(50, 0))
	if found.Ruling != pb.Ruling_RULING_UNDECIDED || found.Low != -1 || found.High != 1 {
		t.Errorf("got %v [%v, %v]: 20 draws have no 2.5 %% quantile", found.Ruling, found.Low, found.High)
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	noisy := noise{questions: 100, repetitions: 10, between: 0.01, within: 0.03}
	for _, c := range []struct {
		name   string
		effect float64
		want   string
	}{
		// (1.96 + 0.84) * sqrt(0.04 / 100) = 0.056; without the noise within 0.028
		{"large enough to be seen", 0.06, "5.6 points or more in 80 % of cases, so this was bad luck"},
		{"more of either", 0.03, "takes about 349 questions, or 205 repetitions of these"},
		{"only more questions", 0.02, "takes about 785 questions; more repetitions of these would not do"},
		{"nothing there", 0, "would hardly promote"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := advice(noisy, c.effect, 0.05); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}
