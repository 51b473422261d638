package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// Money prints an amount of the run's currency; what costs nothing is a dash.
func Money(nano int64) string {
	amount := float64(nano) / config.NanoPerUnit
	switch {
	case nano == 0:
		return "-"
	case amount < 1:
		return fmt.Sprintf("%.4f", amount)
	}
	return fmt.Sprintf("%.2f", amount)
}

func costs(u runstate.Usage) string {
	if u.CostNano == 0 {
		return ""
	}
	return "  cost " + Money(u.CostNano)
}

// Spending prints what was paid for by generation and role.
func Spending(entries []history.Entry, p Paint) string {
	type row struct {
		generation int
		role       string
	}
	sums := map[row]history.Usage{}
	for _, e := range entries {
		for role, u := range e.Spent {
			sum := sums[row{e.Generation, role}]
			sum.Add(u)
			sums[row{e.Generation, role}] = sum
		}
	}
	if len(sums) == 0 {
		return ""
	}
	t := Table{Head: []string{"gen", "role", "calls", "prompt tokens", "completion tokens", "cost"}}
	for _, r := range slices.SortedFunc(maps.Keys(sums), func(a, b row) int {
		if a.generation != b.generation {
			return a.generation - b.generation
		}
		return strings.Compare(a.role, b.role)
	}) {
		u := sums[r]
		t.Add(fmt.Sprint(r.generation), r.role, Count(u.Calls), Count(u.PromptTokens), Count(u.CompletionTokens), Money(u.CostNano))
	}
	return "\n" + p.Bold("paid for") + "\n" + t.Print(p)
}

// Candidates prints how many candidates were drawn, and how many of them are no action, by step kind.
func Candidates(entries []history.Entry, decoding string, p Paint) string {
	kinds := map[string]bool{}
	for _, e := range entries {
		for kind := range e.Candidates {
			kinds[kind] = true
		}
	}
	if len(kinds) == 0 {
		return ""
	}
	names := slices.Sorted(maps.Keys(kinds))
	t := Table{Head: append([]string{"gen", "target", "purpose", "drawn", "unparsable"}, names...)}
	for _, e := range entries {
		var all bus.Candidates
		var cells []string
		for _, kind := range names {
			n := e.Candidates[kind]
			all.Drawn, all.Unparsable = all.Drawn+n.Drawn, all.Unparsable+n.Unparsable
			cells = append(cells, unparsable(n))
		}
		if all.Drawn > 0 {
			t.Add(append([]string{fmt.Sprint(e.Generation), Safe(e.Target), e.Purpose, Count(all.Drawn), unparsable(all)}, cells...)...)
		}
	}
	how := "decoding " + config.DecodingFree
	if decoding != "" {
		how = "decoding " + Safe(decoding)
	}
	return "\n" + p.Bold("candidates that are no action") + ", " + how + "\n" + t.Print(p)
}

func unparsable(n bus.Candidates) string {
	if n.Drawn == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %% (%s)", 100*float64(n.Unparsable)/float64(n.Drawn), Count(n.Unparsable))
}
