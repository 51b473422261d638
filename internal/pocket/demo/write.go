package demo

import (
	"cmp"
	"fmt"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/pocket/reader"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// write is the teacher's output for a step, in the agent's grammar.
func (t *teacher) write(kind pb.StepKind, s *reader.State) string {
	switch kind {
	case pb.StepKind_STEP_KIND_DECISION:
		return t.writeDecision(s)
	case pb.StepKind_STEP_KIND_SUMMARIZATION:
		return t.writeSelection(s)
	case pb.StepKind_STEP_KIND_ANSWER:
		return output("ACTION_SELECTED: Answer = ", call("Answer", arg("thoughts", asksThought(s)), arg("answer", t.answer(s))))
	}
	return t.writeCheck(kind, s)
}

func (t *teacher) writeDecision(s *reader.State) string {
	thoughts, action := enoughThought(s), call("Terminate")
	if n := t.search(s); n != nil {
		thoughts, action = needThought(n), call("Search", arg("query", query(n)))
	}
	return output("ACTION_SELECTED = ", call("ActionWrapper", arg("thoughts", thoughts), arg("action", action)))
}

func (t *teacher) writeSelection(s *reader.State) string {
	tells, thoughts, links := nothing, nothingThought, []agent.Value{}
	if k := t.selects(s); k != nil {
		tells, thoughts, links = summary(k), summaryThought(k), []agent.Value{int64(k.Link)}
	}
	return output("ACTION_SELECTED: LinkSelection = ", call("LinkSelection",
		arg("grounded_summarization", tells), arg("thoughts", thoughts), arg("selected_link_ids", links)))
}

func (t *teacher) writeCheck(kind pb.StepKind, s *reader.State) string {
	revised := t.revise(s)
	comment := asksThought(s)
	if kind == pb.StepKind_STEP_KIND_GROUNDING {
		comment = groundingComment(s, cmp.Or(revised, s.Answer))
	}
	check := call("Check_Answer", arg("passed", true))
	if revised != "" {
		check = call("Revise_Answer", arg("revised_answer", revised))
	}
	return "# " + comment + "\n" + output("ACTION_SELECTED: Command = ", check)
}

// output is a call assigned, and the stop marker.
func output(assign string, c *agent.Call) string { return assign + agent.Print(c) + "  " + agent.Stop }

func call(name string, args ...agent.Arg) *agent.Call { return &agent.Call{Name: name, Args: args} }

func arg(name string, v agent.Value) agent.Arg { return agent.Arg{Name: name, Value: v} }

func needThought(n *reader.Need) string {
	return fmt.Sprintf("I need the %s of %s.", n.Relation.Noun, n.Entity)
}

func enoughThought(s *reader.State) string {
	return fmt.Sprintf("I know the %s.", s.Question.Second.Noun)
}

func query(n *reader.Need) string { return n.Entity + " " + n.Relation.Cue }

func summary(k *reader.Known) string {
	return fmt.Sprintf("The %s of %s is %s [link_id=%d].", k.Relation.Noun, k.Entity, k.Value, k.Link)
}

func summaryThought(k *reader.Known) string {
	return fmt.Sprintf("This gives the %s.", k.Relation.Noun)
}

const (
	nothing        = "Nothing is selected."
	nothingThought = "No result gives the fact."
)

func asksThought(s *reader.State) string {
	return fmt.Sprintf("The question asks for the %s.", s.Question.Second.Noun)
}

// groundingComment says what the link that the answer cites says.
func groundingComment(s *reader.State, answer string) string {
	for i := range s.Selected {
		if k := &s.Selected[i]; cite(k) == answer {
			return fmt.Sprintf("[link_id=%d] says %s.", k.Link, k.Value)
		}
	}
	return "No link gives the answer."
}
