package view

import (
	"fmt"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/sizing"
)

// Spec prints what a run will do, and what it will put on the bus.
func Spec(r config.Run, needs []sizing.Need, p Paint) string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%s %s\n", p.Bold(fmt.Sprintf("%-9s", label)), fmt.Sprintf(format, args...))
	}
	line("run", "%s", p.Name(Safe(r.Name)))
	line("policy", "%s at %s, %s, %d candidates, T %g%s", Safe(r.Policy.Model.Model), Safe(r.Policy.Endpoint), Safe(r.Policy.Rendering), r.Policy.Candidates, r.Policy.Temperature, decoding(r.Policy.Decoding))
	line("grow", "%s questions of %s, samples %v, T %g, %d searches", Count(int64(r.Questions.Count)), Safe(r.Questions.Name), r.Grow.Samples, r.Grow.Temperature, r.Search.Budget)
	line("rank", "%s; %s trains on the choice of %s", Safe(strings.Join(r.Rankers, ", ")), Safe(r.Strategy.Name), Safe(r.Strategy.Ranker))
	if r.Judging != (config.Judging{}) {
		line("judging", "up to %d votes for each ranking and verdict, %s of the steps asked again in reversed order", max(1, r.Judging.Votes), share(int64(1000*r.Judging.Swap), 1000))
	}
	line("train", "%s", targets(r.Targets))
	line("evaluate", "%s questions of %s x %d, judge %s", Count(int64(r.Evaluation.Set.Count)), Safe(r.Evaluation.Set.Name), r.Evaluation.Repetitions, Safe(r.Evaluation.Judge))
	line("decide", "%s at %g, margin %g, %d generations at most", gateRule(r.Gate.Rule), r.Gate.Level, r.Gate.Margin, r.Generations)
	if len(needs) > 0 {
		line("disk", "%s", disk(needs))
	}
	return b.String()
}

func decoding(how string) string {
	if how == config.DecodingGrammar {
		return ", kept to the grammar"
	}
	return ""
}

// disk prints an estimate, the streams that matter first.
func disk(needs []sizing.Need) string {
	var parts []string
	for _, n := range needs {
		if n.Messages > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", n.Stream, sizing.Bytes(n.Bytes())))
		}
	}
	return fmt.Sprintf("about %s on the bus (%s)", sizing.Bytes(sizing.Total(needs)), strings.Join(parts, ", "))
}

func targets(all []config.Target) string {
	if len(all) == 0 {
		return "nothing: the run ends with its first mixture"
	}
	var parts []string
	for _, t := range all {
		parts = append(parts, fmt.Sprintf("%s from %s", Safe(t.Name), Safe(t.Base)))
	}
	return strings.Join(parts, ", ")
}

func gateRule(rule string) string {
	if rule == config.RuleBootstrap {
		return "paired bootstrap"
	}
	return "the paper's rule, a higher mean,"
}
