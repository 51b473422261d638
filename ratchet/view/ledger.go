package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// Ledger prints what became of a run's trajectories as a sum per generation, target and purpose.
func Ledger(l history.Ledger, p Paint) string {
	if len(l.Entries) == 0 {
		return fmt.Sprintf("%s has expected nothing yet; `ratchet status %s` says what it waits for\n", Safe(l.Run), Safe(l.Run))
	}
	t := Table{Head: []string{"gen", "target", "purpose", "expected", "=", "completed", "+ failed", "+ dead", "+ in flight", "+ unpublished", "feedback", "verdicts", ""}}
	for _, e := range l.Entries {
		t.Add(fmt.Sprint(e.Generation), Safe(e.Target), e.Purpose, Count(e.Expected), "=", Count(e.Completed), Count(Sum(e.Failed)),
			Count(e.Dead), Count(e.InFlight), Count(e.Unpublished), byName(e.Feedback), byName(e.Verdicts), balance(e, p))
	}
	var b strings.Builder
	b.WriteString(t.Print(p))
	for _, e := range l.Entries {
		where := fmt.Sprintf("generation %d, %s, %s: ", e.Generation, Safe(e.Target), e.Purpose)
		if len(e.Failed) > 0 {
			b.WriteString(where + "failed " + Classes(e.Failed) + "\n")
		}
		for _, kind := range slices.Sorted(maps.Keys(e.Mute)) {
			fmt.Fprintf(&b, "%s%d dead letters of %s\n", where, e.Mute[kind], Safe(kind))
		}
		for _, wrong := range e.Wrong {
			b.WriteString(p.Bad("WRONG ") + where + wrong + "\n")
		}
	}
	fmt.Fprintf(&b, "%s calls  %s prompt tokens  %s completion tokens%s\n", Count(l.Usage.Calls), Count(l.Usage.PromptTokens), Count(l.Usage.CompletionTokens), costs(l.Usage))
	if l.Balanced {
		b.WriteString(p.Good("the ledger adds up") + "\n")
	} else {
		b.WriteString(p.Bad("the ledger does NOT add up") + "; delete no stream, see the lines marked WRONG\n")
	}
	return b.String()
}

func balance(e history.Entry, p Paint) string {
	switch {
	case len(e.Wrong) > 0:
		return p.Bad("WRONG")
	case e.Left:
		return p.Good("adds up")
	}
	return "open"
}

// byName prints counts as "llm 396, perplexity 396".
func byName(counts map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, Safe(name)+" "+Count(counts[name]))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}
