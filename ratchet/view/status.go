package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// quiet is after how long without any change an active run counts as stalled.
const quiet = 15 * time.Minute

// StateWord is a run's state in one word: running, stalled, paused, finished or cancelled.
func StateWord(s runstate.State, now time.Time) string {
	switch {
	case s.Finished && strings.HasPrefix(s.Reason, "cancelled"):
		return "cancelled"
	case s.Finished:
		return "finished"
	case s.Paused:
		return "paused"
	case now.Sub(s.Updated) > quiet:
		return "stalled"
	}
	return "running"
}

// attention orders states by how much they need somebody.
var attention = []string{"stalled", "paused", "running", "finished", "cancelled"}

// ByAttention sorts runs: those that need somebody first, then the newest.
func ByAttention(all []runstate.State, now time.Time) {
	slices.SortFunc(all, func(a, b runstate.State) int {
		return cmp.Or(
			cmp.Compare(slices.Index(attention, StateWord(a, now)), slices.Index(attention, StateWord(b, now))),
			-a.Started.Compare(b.Started), strings.Compare(a.Run, b.Run))
	})
}

// Runs prints a run a line.
func Runs(all []runstate.State, now time.Time, wide bool, p Paint) string {
	if len(all) == 0 {
		return "no runs yet; `ratchet init` writes a run file, `ratchet submit run.yaml` starts it\n"
	}
	head := []string{"run", "state", "gen", "phase", "done", "failed", "dead", "promoted", "updated"}
	if wide {
		head = append(head, "calls", "tokens", "cost", "started")
	}
	t := Table{Head: append(head, "why")}
	for _, s := range all {
		done := current(s)
		row := []string{
			Safe(s.Run), p.State(StateWord(s, now)), fmt.Sprint(s.Generation), Safe(s.Phase), done.fraction(), Count(done.failed),
			Count(done.dead), promoted(s), Took(now.Sub(s.Updated)) + " ago",
		}
		if wide {
			row = append(row, Count(s.Usage.Calls), Short(s.Usage.Tokens()), Money(s.Usage.CostNano), s.Started.Local().Format(time.DateTime))
		}
		t.Add(append(row, dash(Safe(s.Reason)))...)
	}
	return t.Print(p)
}

func promoted(s runstate.State) string {
	if len(s.Progress) == 0 {
		return "-"
	}
	return fmt.Sprintf("gen %d", s.Incumbent)
}

// done is how far the present phase is, over all its targets.
type done struct {
	completed, failed, dead, expected int64
	started                           time.Time
	classes                           map[string]int64
}

// finished counts what nobody works on any more.
func (d done) finished() int64 { return d.completed + d.failed + d.dead }

func (d done) fraction() string {
	if d.expected == 0 {
		return "-"
	}
	return fmt.Sprintf("%s/%s", Count(d.finished()), Count(d.expected))
}

func current(s runstate.State) done { return phase(s, s.Generation, s.Phase) }

// phase sums a phase over its targets.
func phase(s runstate.State, generation int, name string) done {
	d := done{classes: map[string]int64{}, started: s.Entered}
	for _, p := range s.Progress {
		if p.Generation != generation || p.Phase != name {
			continue
		}
		d.completed += p.Completed
		d.failed += Sum(p.Failed)
		d.dead += p.Dead
		d.expected += p.Expected
		for class, n := range p.Failed {
			d.classes[class] += n
		}
	}
	return d
}

// Run prints one run's phases, a line each.
func Run(s runstate.State, now time.Time, p Paint) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  generation %d  %s  promoted %s  %s calls  %s tokens%s\n", p.Bold(Safe(s.Run)), p.State(StateWord(s, now)),
		s.Generation, Safe(s.Phase), promoted(s), Count(s.Usage.Calls), Short(s.Usage.Tokens()), costs(s.Usage))
	if s.Reason != "" {
		b.WriteString("why: " + Safe(s.Reason) + "\n")
	}
	t := Table{Head: []string{"gen", "phase", "target", "expected", "completed", "failed", "dead", "feedback", "verdicts", "took"}}
	for _, x := range s.Progress {
		verdicts := "-"
		if x.Verdicts > 0 || x.Purpose == "eval" {
			verdicts = Count(x.Verdicts)
		}
		t.Add(fmt.Sprint(x.Generation), Safe(x.Phase), Safe(x.Target), Count(x.Expected), Count(x.Completed), failures(x), Count(x.Dead),
			byName(x.Feedback), verdicts, took(x, now))
	}
	if len(t.Rows) > 0 {
		b.WriteString(t.Print(p))
	}
	return b.String()
}

func failures(x runstate.Progress) string {
	if Sum(x.Failed) == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s)", Count(Sum(x.Failed)), Classes(x.Failed))
}

func took(x runstate.Progress, now time.Time) string {
	if x.Ended.IsZero() {
		return Took(now.Sub(x.Started)) + " so far"
	}
	return Took(x.Ended.Sub(x.Started))
}

// Finished counts the items of a run's present phase that nobody works on any more.
func Finished(s runstate.State) int64 { return current(s).finished() }
