package view

import (
	"fmt"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/statistics"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// What a warning takes: a spread that chance gives in one of a hundred runs, and that matters; an order that decides one
// step in five.
const (
	unevenBelow = 0.01
	unevenBy    = 0.02
	steadyFrom  = 0.8
)

// judging says in words how far rankers and judge can be trusted.
func judging(j history.Judging, p Paint) string {
	var b strings.Builder
	for _, r := range j.Rankers {
		b.WriteString(ranker(r, p))
	}
	for _, pair := range j.Pairs {
		fmt.Fprintf(&b, "rankers %s and %s: Kendall's tau %s, the same best output in %s, over %s steps\n",
			Safe(pair.A), Safe(pair.B), estimate(pair.Tau), percent(pair.Same), Count(pair.Steps))
	}
	if j.Unanimous != nil {
		fmt.Fprintf(&b, "judge: all votes agree on %s of the answers\n", percent(j.Unanimous))
	}
	b.WriteString(Correlations(j.Policies))
	return b.String()
}

func ranker(r history.Ranker, p Paint) string {
	var b strings.Builder
	name := Safe(r.Name)
	if r.Model != "" {
		name += " (" + Safe(r.Model) + ")"
	}
	fmt.Fprintf(&b, "ranker %s: %s steps ranked, %s with one output to choose from, %s unreadable (default order)\n",
		name, Count(r.Ranked), Count(r.Single), Count(r.Fallback))
	b.WriteString(slots(r, p))
	b.WriteString(swap(r.Swap, p))
	if r.Unanimous != nil {
		fmt.Fprintf(&b, "  votes: all name the same best output in %s of the steps\n", percent(r.Unanimous))
	}
	return b.String()
}

// slots prints how often the best output stood where.
func slots(r history.Ranker, p Paint) string {
	if r.Even == nil {
		return ""
	}
	picked, worst, all := make([]string, len(r.Slots)), 0, 0.0
	for i, s := range r.Slots {
		all += s.Fair
		if excess(r.Slots[i]) > excess(r.Slots[worst]) {
			worst = i
		}
	}
	for i, s := range r.Slots {
		picked[i] = fmt.Sprintf("#%d %.1f %% (fair %.1f)", i+1, 100*float64(s.Picked)/all, 100*s.Fair/all)
	}
	text := fmt.Sprintf("  the best output was shown as %s; p %s\n", strings.Join(picked, ", "), chance(*r.Even))
	if *r.Even < unevenBelow && excess(r.Slots[worst])/all > unevenBy {
		text += p.Warn("  warning: position bias:") + fmt.Sprintf(" what is shown as #%d is preferred for its place, at least where outputs are about as good; rank by several votes (judging.votes) or by another model\n", worst+1)
	}
	return text
}

func excess(s history.Slot) float64 { return float64(s.Picked) - s.Fair }

func swap(s *history.Swap, p Paint) string {
	if s == nil {
		return ""
	}
	text := fmt.Sprintf("  asked again in reversed order: %s steps, %s unreadable; the same best output in %s\n",
		Count(s.Asked), Count(s.Unreadable), percent(s.Same))
	if s.Same != nil && s.Same.Value < steadyFrom {
		text += p.Warn("  warning:") + " the order decides the best output in more than one step of five\n"
	}
	return text
}

// Correlations prints the paper's check of a judge, where there are policies enough.
func Correlations(all []history.Correlation) string {
	var parts []string
	policies := 0
	for _, c := range all {
		if c.Pearson != nil || c.Spearman != nil {
			policies = c.Policies
			parts = append(parts, fmt.Sprintf("with %s r %s, rho %s", strings.ReplaceAll(Safe(c.With), "_", " "), coefficient(c.Pearson), coefficient(c.Spearman)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("judge over %d policies: %s\n", policies, strings.Join(parts, "; "))
}

func coefficient(c *history.Coefficient) string {
	if c == nil {
		return "-"
	}
	return fmt.Sprintf("%s (p %s)", fixed(c.R), chance(c.P))
}

// chance prints a p-value.
func chance(p float64) string {
	const least = 1e-4
	if p < least {
		return "< 0.0001"
	}
	return fmt.Sprintf("%.2g", p)
}

// fixed prints a number of two digits, none of them a negative zero.
func fixed(x float64) string {
	if text := fmt.Sprintf("%.2f", x); text != "-0.00" {
		return text
	}
	return "0.00"
}

// estimate prints a number and its interval: "0.31 (0.28 to 0.34)".
func estimate(e *statistics.Estimate) string {
	switch {
	case e == nil:
		return "-"
	case e.Interval == nil:
		return fixed(e.Value)
	}
	return fmt.Sprintf("%s (%s to %s)", fixed(e.Value), fixed(e.Interval.Low), fixed(e.Interval.High))
}

// percent prints a share and its interval: "81 % (75 to 86)".
func percent(e *statistics.Estimate) string {
	switch {
	case e == nil:
		return "-"
	case e.Interval == nil:
		return fmt.Sprintf("%.0f %%", 100*e.Value)
	}
	return fmt.Sprintf("%.0f %% (%.0f to %.0f)", 100*e.Value, 100*e.Interval.Low, 100*e.Interval.High)
}
