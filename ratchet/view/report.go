package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// Scores prints the paper's table: a row per generation, draft and final answer of each target, the decision.
func Scores(r history.Results, p Paint) string {
	targets := r.Targets()
	head := []string{"gen"}
	for _, target := range targets {
		head = append(head, Safe(target)+":draft", Safe(target)+":final")
	}
	t := Table{Head: append(head, "decision")}
	for _, g := range r.Generations {
		if len(g.Reports) == 0 {
			continue
		}
		row := []string{fmt.Sprint(g.Number)}
		for _, target := range targets {
			report := g.Report(target)
			row = append(row, Accuracy(report.GetDraft()), Accuracy(report.GetAnswer()))
		}
		t.Add(append(row, brief(g.Decision(), p))...)
	}
	if len(t.Rows) == 0 {
		return "no report yet\n"
	}
	return t.Print(p)
}

// ScoresTitle says what the numbers of Scores are.
func ScoresTitle(r history.Results) string {
	for _, g := range r.Generations {
		if report := g.Report("own"); report != nil {
			return fmt.Sprintf("accuracy %%, %d questions x %d, mean ± std over repetitions", report.GetQuestions(), report.GetRepetitions())
		}
	}
	return "accuracy %"
}

// Ruling is a ruling as tables say it.
func Ruling(r pb.Ruling) string {
	switch r {
	case pb.Ruling_RULING_BASELINE:
		return "baseline"
	case pb.Ruling_RULING_PROMOTE:
		return "promoted"
	case pb.Ruling_RULING_REJECT:
		return "rejected"
	case pb.Ruling_RULING_UNDECIDED:
		return "undecided"
	case pb.Ruling_RULING_CONTINUE:
		return "another look"
	}
	return "-"
}

// brief is a decision in a table's cell.
func brief(d *pb.Decision, p Paint) string {
	switch d.GetRuling() {
	case pb.Ruling_RULING_UNSPECIFIED, pb.Ruling_RULING_BASELINE:
		return Ruling(d.GetRuling())
	}
	return p.State(Ruling(d.GetRuling())) + " " + effect(d)
}

// effect is the difference and its interval, in points; the level of the interval is the look's.
func effect(d *pb.Decision) string {
	return fmt.Sprintf("%s (%s to %s)", points(d.GetEffect()), strings.TrimPrefix(points(d.GetLow()), "+"), strings.TrimPrefix(points(d.GetHigh()), "+"))
}

// Decision prints one decision with its evidence.
func Decision(generation int, d *pb.Decision, p Paint) string {
	var b strings.Builder
	if d.GetRuling() == pb.Ruling_RULING_BASELINE {
		return fmt.Sprintf("generation %d: %s\n", generation, Safe(d.GetReason()))
	}
	fmt.Fprintf(&b, "generation %d: %s, against generation %d\n", generation, p.State(Ruling(d.GetRuling())), d.GetIncumbent())
	fmt.Fprintf(&b, "  %s\n", Safe(d.GetReason()))
	fmt.Fprintf(&b, "  rule %s, level %g (this look %.3g), margin %g, look %d of %d, %d questions x %d, gained %d, lost %d\n",
		Safe(d.GetRule()), d.GetLevel(), d.GetAlpha(), d.GetMargin(), d.GetLook(), d.GetLooks(), d.GetQuestions(),
		d.GetRepetitions(), d.GetGained(), d.GetLost())
	return b.String()
}

// Report prints all that a run has shown so far.
func Report(r history.Results, j history.Judging, u history.Usage, state runstate.State, p Paint) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s    %s\n", p.Bold(Safe(r.Run)), paid(u, state))
	b.WriteString(ScoresTitle(r) + "\n")
	b.WriteString(Scores(r, p))
	for _, section := range []struct{ title, text string }{
		{"decisions", decisions(r, p)}, {"evaluations", evaluations(r, j, p)}, {"judging", judging(j, p)}, {"mixtures", mixtures(r, p)}, {"models", models(r, p)},
	} {
		if section.text != "" {
			b.WriteString("\n" + p.Bold(section.title) + "\n" + section.text)
		}
	}
	if state.Reason != "" {
		fmt.Fprintf(&b, "\n%s: %s\n", StateWord(state, state.Updated), Safe(state.Reason))
	}
	return b.String()
}

func paid(u history.Usage, state runstate.State) string {
	text := fmt.Sprintf("%s calls  %s tokens", Count(u.Calls), Short(u.Tokens()))
	if u.CostNano != 0 {
		text += "  cost " + Money(u.CostNano)
	}
	if took := state.Updated.Sub(state.Started); !state.Started.IsZero() && took > 0 {
		text += "  " + Took(took)
	}
	return text
}

func decisions(r history.Results, p Paint) string {
	var b strings.Builder
	for _, g := range r.Generations {
		for _, d := range g.Decisions {
			b.WriteString(Decision(g.Number, d, p))
		}
	}
	return b.String()
}

func evaluations(r history.Results, j history.Judging, p Paint) string {
	t := Table{Head: []string{"gen", "target", "look", "policy", "n", "exact", "F1", "contains", "judge r / rho / kappa", "missing", "failures"}}
	for _, g := range r.Generations {
		for _, e := range g.Reports {
			t.Add(fmt.Sprint(g.Number), Safe(e.GetTarget()), fmt.Sprint(e.GetLook()), Safe(e.GetPolicy().GetName()),
				fmt.Sprintf("%d x %d", e.GetQuestions(), e.GetRepetitions()), Accuracy(e.GetExactMatch()), Accuracy(e.GetF1()),
				Accuracy(e.GetContains()), correlation(e.Pearson)+" / "+correlation(e.Spearman)+" / "+estimate(j.Kappa(g.Number, e.GetTarget())), Count(e.GetMissing()), dash(Classes(e.GetFailures())))
		}
	}
	if len(t.Rows) == 0 {
		return ""
	}
	return t.Print(p)
}

func correlation(x *float64) string {
	if x == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *x)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func mixtures(r history.Results, p Paint) string {
	var b strings.Builder
	for _, g := range r.Generations {
		m := g.Mixture
		if m == nil {
			continue
		}
		fmt.Fprintf(&b, "generation %d: %s, %s examples of %s trajectories, strategy %s\n", g.Number, p.Name(Safe(m.GetId())),
			Count(m.GetExamples()), Count(m.GetTrajectories()), Safe(m.GetStrategy()))
		fmt.Fprintf(&b, "  ranker %s changed %s of the targets; by kind: %s\n", dash(Safe(m.GetRanker())), share(m.GetChanged(), m.GetExamples()),
			dash(Classes(m.GetExamplesByKind())))
		if len(m.GetDropped()) > 0 {
			fmt.Fprintf(&b, "  left out: %s\n", Classes(m.GetDropped()))
		}
	}
	return b.String()
}

func models(r history.Results, p Paint) string {
	t := Table{Head: []string{"gen", "target", "checkpoint", "base", "trained in", "policy", "endpoint"}}
	for _, g := range r.Generations {
		for _, c := range g.Checkpoints {
			i := slices.IndexFunc(g.Deployments, func(d *pb.Deployment) bool { return d.GetTarget() == c.GetTarget() })
			name, endpoint := "-", "-"
			if i >= 0 {
				name, endpoint = g.Deployments[i].GetPolicy().GetName(), g.Deployments[i].GetPolicy().GetEndpoint()
			}
			t.Add(fmt.Sprint(g.Number), Safe(c.GetTarget()), Safe(c.GetId()), Safe(c.GetBase()), Took(milliseconds(c.GetElapsedMs())), Safe(name), Safe(endpoint))
		}
	}
	if len(t.Rows) == 0 {
		return ""
	}
	return t.Print(p)
}

// Finish prints what a run has come to: the paper's table and every decision.
func Finish(r history.Results, u history.Usage, state runstate.State, p Paint) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s    %s\n%s", ScoresTitle(r), paid(u, state), Scores(r, p))
	if text := decisions(r, p); text != "" {
		b.WriteString("\n" + text)
	}
	if state.Reason != "" {
		fmt.Fprintf(&b, "%s: %s\n", StateWord(state, state.Updated), Safe(state.Reason))
	}
	return b.String()
}
