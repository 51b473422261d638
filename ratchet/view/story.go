package view

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// Story prints a trajectory with every step, its candidates, their ranks and why, width columns wide.
func Story(s history.Story, width int, p Paint) string {
	t := s.Trajectory
	w := page{width: max(width, 40), paint: p}
	w.line("%s  %s", p.Bold(Safe(bus.IDTokens(t.GetIdentity()))), outcome(s, p))
	if name := t.GetPolicy().GetName(); name != "" {
		w.line("policy %s at %s", p.Name(Safe(name)), Safe(t.GetPolicy().GetEndpoint()))
	}
	w.labelled("question", t.GetQuestion())
	for _, step := range t.GetSteps() {
		w.step(step, s.Feedback)
	}
	w.line("")
	if !s.Running {
		w.labelled("draft", t.GetDraft())
		w.labelled("final", t.GetAnswer())
	}
	for _, v := range s.Verdicts {
		w.verdict(v)
	}
	if u := t.GetUsage(); u != nil {
		w.line("%s calls, %s prompt and %s completion tokens, %d searches", Count(u.GetCalls()), Count(u.GetPromptTokens()),
			Count(u.GetCompletionTokens()), u.GetSearches())
	}
	return w.String()
}

func outcome(s history.Story, p Paint) string {
	t := s.Trajectory
	switch {
	case s.Running:
		return fmt.Sprintf("running, %d steps so far", len(t.GetSteps()))
	case t.GetOutcome() == pb.Outcome_OUTCOME_FAILED:
		return p.State("failed") + " (" + bus.ClassName(t.GetFailure()) + "): " + Safe(t.GetReason())
	}
	return fmt.Sprintf("completed, %d steps", len(t.GetSteps()))
}

// page collects lines.
type page struct {
	strings.Builder
	width int
	paint Paint
}

func (w *page) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// block prints a text of somebody else's, wrapped and indented.
func (w *page) block(indent int, text string) {
	for _, line := range Lines(text, w.width-indent) {
		w.line("%s%s", strings.Repeat(" ", indent), line)
	}
}

// labelled prints a label and a text that wraps beside it.
func (w *page) labelled(label, text string) {
	const indent = 10
	for i, line := range Lines(text, w.width-indent) {
		if i > 0 {
			label = ""
		}
		w.line("%s%s", w.paint.Bold(pad(label, indent)), line)
	}
}

func (w *page) step(step *pb.Step, feedback []*pb.Feedback) {
	kind := strings.ToLower(strings.TrimPrefix(step.GetKind().String(), "STEP_KIND_"))
	w.line("")
	w.line("%s  %s  %s", w.paint.Bold(fmt.Sprintf("step %d  %s", step.GetIndex(), kind)), Safe(step.GetTemplate()), Took(milliseconds(step.GetElapsedMs())))
	for _, result := range step.GetResults() {
		w.result(fmt.Sprintf("  link %d", result.GetLinkId()), result)
	}
	for _, same := range fold(step.GetCandidates()) {
		w.candidate(step, same, feedback)
	}
	for _, f := range feedback {
		if r := history.Ranking(f, step.GetIndex()); r.GetExplanation() != "" {
			w.block(2, f.GetRanker()+" says: "+r.GetExplanation())
		}
	}
}

// fold groups the candidates of the same text, in the order of the first of each.
func fold(candidates []*pb.Candidate) [][]int32 {
	var groups [][]int32
	at := map[string]int{}
	for i, c := range candidates {
		if j, ok := at[c.GetText()]; ok {
			groups[j] = append(groups[j], int32(i))
			continue
		}
		at[c.GetText()] = len(groups)
		groups = append(groups, []int32{int32(i)})
	}
	return groups
}

// candidate prints candidates of the same text: what is known of those that something was said about, the others
// by number, and the text once.
func (w *page) candidate(step *pb.Step, same []int32, feedback []*pb.Feedback) {
	var others []string
	for n, i := range same {
		said := facts(step, i, feedback)
		if len(said) == 0 && n > 0 && i != step.GetChosen() {
			others = append(others, fmt.Sprintf("#%d", i))
			continue
		}
		c := step.GetCandidates()[i]
		chosen := ""
		if i == step.GetChosen() {
			chosen = ", " + w.paint.Good("CHOSEN") + " by " + Safe(step.GetSelectedBy())
		}
		w.line("  #%d %s, %d tokens%s", i, perplexity(c), c.GetTokens(), chosen)
		for _, fact := range said {
			w.block(indentFact, fact)
		}
	}
	if len(others) > 0 {
		w.line("%sthe same: %s", strings.Repeat(" ", indentFact), strings.Join(others, " "))
	}
	w.block(indentText, step.GetCandidates()[same[0]].GetText())
}

// Columns of what is said about a candidate, and of what it says itself.
const (
	indentFact = 5
	indentText = 8
)

// facts are what parser, rankers and the agent made of a candidate.
func facts(step *pb.Step, candidate int32, feedback []*pb.Feedback) []string {
	var facts []string
	if problem := step.GetCandidates()[candidate].GetParseError(); problem != "" {
		facts = append(facts, "unparsable: "+problem)
	}
	for _, f := range feedback {
		if said := ranked(step, f, candidate); said != "" {
			facts = append(facts, f.GetRanker()+": "+said)
		}
	}
	return facts
}

// ranked is a candidate's place with a ranker, and whether it is the one to train on.
func ranked(step *pb.Step, f *pb.Feedback, candidate int32) string {
	var facts []string
	r := history.Ranking(f, step.GetIndex())
	if place := slices.Index(r.GetRanking(), candidate); place >= 0 {
		facts = append(facts, fmt.Sprintf("#%d of %d", place+1, len(r.GetRanking())))
	}
	if history.Target(step, f) == candidate {
		facts = append(facts, "TARGET")
	}
	if r.GetRankedBy() == pb.RankedBy_RANKED_BY_FALLBACK && len(facts) > 0 {
		facts = append(facts, "fallback: the ranking could not be read")
	}
	return strings.Join(facts, ", ")
}

// perplexity is exp of minus the mean log-probability per token.
func perplexity(c *pb.Candidate) string {
	if c.MeanLogprob == nil {
		return "perplexity unknown"
	}
	return fmt.Sprintf("perplexity %.3f", math.Exp(-c.GetMeanLogprob()))
}

func (w *page) verdict(v *pb.Verdict) {
	if v.GetOutcome() == pb.Outcome_OUTCOME_FAILED {
		w.line("judge %s %s (%s)", Safe(v.GetJudge()), w.paint.State("failed"), bus.ClassName(v.GetFailure()))
		w.block(2, v.GetReason())
		return
	}
	w.line("judge %s: draft %s, final %s; exact match %t, F1 %.2f, contains %t", Safe(v.GetJudge()), w.paint.State(truth(v.GetDraftRight())),
		w.paint.State(truth(v.GetAnswerRight())), v.GetExactMatch(), v.GetF1(), v.GetContains())
	if v.GetAnswerExplanation() != "" {
		w.block(2, "because: "+v.GetAnswerExplanation())
	}
}

func truth(right bool) string {
	if right {
		return "right"
	}
	return "wrong"
}
