package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// Lineage prints a model's chain, the newest link first.
func Lineage(l history.Lineage, p Paint) string {
	var links []string
	add := func(label, format string, args ...any) {
		links = append(links, fmt.Sprintf("%-12s", label)+fmt.Sprintf(format, args...))
	}
	name := fmt.Sprintf("%s/%d/%s", l.Run, l.Generation, l.Target)
	if d := l.Deployment; d != nil {
		add("policy", "%s, model %s at %s", p.Name(Safe(d.GetPolicy().GetName())), Safe(d.GetPolicy().GetModel()), Safe(d.GetPolicy().GetEndpoint()))
	} else if policy := l.Report.GetPolicy(); policy != nil {
		add("policy", "%s, model %s at %s", p.Name(Safe(policy.GetName())), Safe(policy.GetModel()), Safe(policy.GetEndpoint()))
	}
	if f := l.Capabilities; f != nil {
		add("", "%s", Endpoint(f))
	}
	if d := l.Decision; d != nil {
		add("decision", "%s", p.State(Ruling(d.GetRuling())))
		add("", "%s", Safe(d.GetReason()))
	}
	if r := l.Report; r != nil {
		add("report", "final %s %%, draft %s %%, %d questions x %d of %s, judge %s", Accuracy(r.GetAnswer()), Accuracy(r.GetDraft()),
			r.GetQuestions(), r.GetRepetitions(), Safe(r.GetSet()), Safe(r.GetJudge()))
	}
	if c := l.Checkpoint; c != nil {
		add("checkpoint", "%s, trained from %s by job %s in %s", p.Name(Safe(c.GetId())), Safe(c.GetBase()), Safe(c.GetJob()), Took(milliseconds(c.GetElapsedMs())))
		add("", "%s", Safe(c.GetUri()))
	}
	if m := l.Mixture; m != nil {
		add("mixture", "%s, %s examples of %s trajectories, %s", p.Name(Safe(m.GetId())), Count(m.GetExamples()), Count(m.GetTrajectories()), dash(Classes(m.GetExamplesByKind())))
		add("", "strategy %s, ranker %s changed %s of the targets; left out: %s", Safe(m.GetStrategy()), dash(Safe(m.GetRanker())), share(m.GetChanged(), m.GetExamples()), dash(Classes(m.GetDropped())))
		add("", "%s", Safe(m.GetManifestUri()))
	}
	if g := l.Grower; g != nil {
		add("grown by", "%s", p.Name(Safe(g.GetName())))
	}
	state := "not promoted"
	if l.Promoted {
		state = p.Good("promoted")
	}
	return fmt.Sprintf("%s  %s\n  %s\n", p.Bold(Safe(name)), state, strings.Join(links, "\n  "))
}

// Example prints where one training example comes from.
func Example(e history.ExampleLineage, width int, p Paint) string {
	w := page{width: max(width, 40), paint: p}
	t := e.Story.Trajectory
	w.line("example of step %d of %s", e.Step.GetIndex(), p.Name(Safe(bus.IDTokens(t.GetIdentity()))))
	w.labelled("question", t.GetQuestion())
	w.line("%s%s", p.Bold(pad("policy", 10)), Safe(t.GetPolicy().GetName()))
	if e.Ranker == "" {
		w.line("nobody has ranked this step: the candidate that continued is the target")
	} else {
		w.line("%s%s ranked it as %s", p.Bold(pad("ranker", 10)), Safe(e.Ranker), order(e.Ranking))
	}
	only := e.Story.Feedback
	only = slices.DeleteFunc(slices.Clone(only), func(f *pb.Feedback) bool { return f.GetRanker() != e.Ranker })
	w.step(e.Step, only)
	w.line("")
	w.line("whole trajectory: ratchet trajectory %s", Safe(bus.IDTokens(t.GetIdentity())))
	return w.String()
}

func order(r *pb.StepRanking) string {
	if len(r.GetRanking()) == 0 {
		return "nothing usable"
	}
	var parts []string
	for _, i := range r.GetRanking() {
		parts = append(parts, fmt.Sprintf("#%d", i))
	}
	return strings.Join(parts, " > ")
}

// DeadLetter is a dead letter and its place in the stream.
type DeadLetter struct {
	Seq    uint64
	Run    string
	When   string
	Letter *pb.DeadLetter
}

// DeadLetters prints letters in groups of the same kind, class and message: one cause, one line.
func DeadLetters(all []DeadLetter, p Paint) string {
	if len(all) == 0 {
		return "no dead letters\n"
	}
	type cause struct{ run, kind, class, message string }
	var causes []cause
	groups := map[cause][]DeadLetter{}
	for _, d := range all {
		c := cause{d.Run, d.Letter.GetKind(), bus.ClassName(d.Letter.GetFailure()), d.Letter.GetError()}
		if groups[c] == nil {
			causes = append(causes, c)
		}
		groups[c] = append(groups[c], d)
	}
	slices.SortStableFunc(causes, func(a, b cause) int { return len(groups[b]) - len(groups[a]) })
	t := Table{Head: []string{"count", "run", "kind", "class", "first", "last", "seq", "error"}}
	for _, c := range causes {
		g := groups[c]
		t.Add(Count(int64(len(g))), Safe(c.run), Safe(c.kind), p.Bad(c.class), g[0].When, g[len(g)-1].When, sequences(g), Cut(c.message, 100))
	}
	return t.Print(p)
}

// sequences lists a few of the letters by which `ratchet dead show` finds them.
func sequences(g []DeadLetter) string {
	const few = 3
	var parts []string
	for _, d := range g[:min(few, len(g))] {
		parts = append(parts, fmt.Sprint(d.Seq))
	}
	if len(g) > few {
		parts = append(parts, "…")
	}
	return strings.Join(parts, ",")
}
