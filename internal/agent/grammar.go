package agent

import (
	"fmt"
	"strconv"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Bounds of a grammar's free texts, in characters: a model that never stops is cut where its output is still an action.
const (
	charsPerToken = 3 // cautious: English has four or more
	longestText   = 600
	shortestText  = 40
	// mostComments a summarization or a check is introduced by.
	mostComments = 3
)

// Grammar is what the output of the coming step may be, in GBNF (llama.cpp, grammars/README.md; XGrammar, and so vLLM and
// SGLang, read it too). It is narrower than what Parse reads: one layout, that of the exemplars, only what the controller
// will take (no search beyond the budget, no link that was not shown, no empty element), and texts that fit into maxTokens.
func (s *State) Grammar(maxTokens int) string {
	g := grammar{text: min(max(charsPerToken*maxTokens/5, shortestText), longestText)}
	switch s.next {
	case pb.StepKind_STEP_KIND_DECISION:
		action := `"Terminate()"`
		if s.remaining > 0 {
			action = `( "Terminate()" | ` + calls(s.forms) + ` )`
		}
		g.root(`"ActionWrapper(thoughts=" double ", action="`, action, `")"`)
	case pb.StepKind_STEP_KIND_SUMMARIZATION:
		g.root(fmt.Sprintf(`comment{0,%d}`, mostComments),
			`"LinkSelection(grounded_summarization=" text ", thoughts=" double ", selected_link_ids=[" links "])"`)
		g.links(s.results)
	case pb.StepKind_STEP_KIND_ANSWER:
		g.root(`"Answer(thoughts=" double ", answer=" text ")"`)
	case pb.StepKind_STEP_KIND_RELEVANCE, pb.StepKind_STEP_KIND_GROUNDING:
		g.root(fmt.Sprintf(`comment{1,%d}`, mostComments),
			`( "Check_Answer(passed=True)" | ( "" | "Check_Answer(passed=False)\n" ) "Revise_Answer(revised_answer=" text ")" )`)
	}
	return g.String()
}

// calls are the tools that may be asked.
func calls(forms []form) string {
	var all []string
	for _, f := range forms {
		all = append(all, fmt.Sprintf(`"%s(%s=" text ")"`, f.action, f.argument))
	}
	return strings.Join(all, " | ")
}

// grammar builds the rules; text bounds each free text.
type grammar struct {
	strings.Builder
	text int
}

// root is the output's form; the stop marker ends it.
func (g *grammar) root(parts ...string) {
	fmt.Fprintf(g, "root ::= %s %q\n", strings.Join(parts, " "), "  "+Stop)
	g.WriteString("text ::= double | single\n")
	g.texts("double", `"\""`, `"`)
	g.texts("single", `"'"`, `'`)
	fmt.Fprintf(g, "comment ::= \"# \" [^ #%s] [^#%s]{0,%d} \"\\n\"\n", control, control, g.text-1)
}

// control is what no text holds, as a part of a character class.
const control = `\x00-\x1F\x7F`

// texts is a string literal that does not begin with a blank. It escapes nothing but its quote, and has no "#", which
// begins the stop marker.
func (g *grammar) texts(name, mark, quote string) {
	plain := quote + `\\#` + control
	escaped := strconv.Quote(`\` + quote)
	fmt.Fprintf(g, "%s ::= %s [^ %s] ( [^%s] | %s ){0,%d} %s\n", name, mark, plain, plain, escaped, g.text-1, mark)
}

// links are rules for a list of the shown links' ids, in their order and each at most once; perhaps empty. Each id may be
// followed by any later one.
func (g *grammar) links(results []*pb.SearchResult) {
	later := []string{`""`}
	for i := len(results) - 1; i >= 0; i-- {
		name := "link" + strconv.Itoa(i)
		fmt.Fprintf(g, "%s ::= \"%d\" %s\n", name, results[i].GetLinkId(), then(later))
		later = append(later, name)
	}
	fmt.Fprintf(g, "links ::= %s\n", strings.Join(later, " | "))
}

// then is nothing, or a comma and one of the others.
func then(later []string) string {
	if len(later) == 1 {
		return later[0]
	}
	return `( "" | ", " ( ` + strings.Join(later[1:], " | ") + " ) )"
}
