package agent

import (
	"fmt"
	"slices"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Action is what one LLM call decided: Search, Use, Terminate, Selection, Answer or Check.
type Action interface{ empty() bool }

// Search asks the search.
type Search struct{ Query, Thoughts string }

// Use asks another tool, by its name in a run file.
type Use struct{ Tool, Query, Thoughts string }

// Terminate ends the search loop.
type Terminate struct{ Thoughts string }

// Selection keeps some of the results and says what they tell.
type Selection struct {
	Summary, Thoughts string
	Links             []int32
}

// Answer is the draft.
type Answer struct{ Answer, Thoughts string }

// Check is a self-check's outcome: passed, or with another answer.
type Check struct {
	Passed bool
	// Revised is the new answer, empty if there is none.
	Revised string
	// Comments is the reasoning before it.
	Comments []string
}

func (a Search) empty() bool    { return blank(a.Query, a.Thoughts) }
func (a Use) empty() bool       { return blank(a.Query, a.Thoughts) }
func (a Terminate) empty() bool { return blank(a.Thoughts) }
func (a Selection) empty() bool { return blank(a.Summary, a.Thoughts) }
func (a Answer) empty() bool    { return blank(a.Answer, a.Thoughts) }
func (a Check) empty() bool     { return len(a.Comments) == 0 || !a.Passed && blank(a.Revised) }

func blank(elements ...string) bool {
	for _, e := range elements {
		if strings.TrimSpace(e) == "" {
			return true
		}
	}
	return false
}

// HasEmptyElement says whether an output lacks something that the ranking instructions ask for (paper, listing 8: "if any
// element is empty it is automatically bad"): a thought, a query, a summary, an answer, the comments of a check. An output
// that cannot be read has nothing.
func HasEmptyElement(kind pb.StepKind, text string) bool {
	action, err := Parse(kind, text)
	return err != nil || action.empty()
}

// Parse reads an output of a step's kind.
func Parse(kind pb.StepKind, text string) (Action, error) {
	s, err := parseScript(text)
	if err != nil {
		return nil, err
	}
	if len(s.calls) == 0 {
		return nil, fmt.Errorf("no action in the output")
	}
	switch kind {
	case pb.StepKind_STEP_KIND_DECISION:
		return readDecision(s)
	case pb.StepKind_STEP_KIND_SUMMARIZATION:
		return readSelection(s)
	case pb.StepKind_STEP_KIND_ANSWER:
		return readAnswer(s)
	case pb.StepKind_STEP_KIND_RELEVANCE, pb.StepKind_STEP_KIND_GROUNDING:
		return readCheck(s)
	}
	return nil, fmt.Errorf("unknown step kind %s", kind)
}

// only is the single call that most steps consist of.
func only(s script, name string) (*Call, error) {
	if len(s.calls) > 1 {
		return nil, fmt.Errorf("%d actions in the output, want one", len(s.calls))
	}
	if c := s.calls[0]; c.Name == name {
		return c, nil
	}
	return nil, fmt.Errorf("the output is %s(...), want %s(...)", s.calls[0].Name, name)
}

// readDecision takes ActionWrapper(thoughts=, action=Search(query=)|Terminate()), and the action alone as well. It knows
// every tool there may be; the state knows which there are.
func readDecision(s script) (Action, error) {
	c := s.calls[0]
	if _, isTool := formOf(c.Name); isTool || c.Name == "Terminate" {
		c = &Call{Name: "ActionWrapper", Args: []Arg{{"thoughts", c.Get("thoughts")}, {"action", c}}}
		s.calls = append([]*Call{c}, s.calls[1:]...)
	}
	c, err := only(s, "ActionWrapper")
	if err != nil {
		return nil, err
	}
	thoughts, err := c.text("thoughts")
	if err != nil {
		return nil, err
	}
	inner, ok := c.Get("action").(*Call)
	if !ok {
		return nil, fmt.Errorf("ActionWrapper(...): want action=Search(...) or action=Terminate()")
	}
	if inner.Name == "Terminate" {
		return Terminate{Thoughts: thoughts}, nil
	}
	f, ok := formOf(inner.Name)
	if !ok {
		return nil, errNoAction(inner.Name)
	}
	query, err := inner.text(f.argument)
	if err != nil {
		return nil, err
	}
	if blank(query) {
		return nil, fmt.Errorf("%s(...): want %s=", f.action, f.argument)
	}
	if f == searchForm {
		return Search{Query: query, Thoughts: thoughts}, nil
	}
	return Use{Tool: f.tool, Query: query, Thoughts: thoughts}, nil
}

func errNoAction(name string) error {
	return fmt.Errorf("action=%s(...): want Search or Terminate", name)
}

func readSelection(s script) (Action, error) {
	c, err := only(s, "LinkSelection")
	if err != nil {
		return nil, err
	}
	a := Selection{}
	if a.Summary, err = c.text("grounded_summarization"); err != nil {
		return nil, err
	}
	if a.Thoughts, err = c.text("thoughts"); err != nil {
		return nil, err
	}
	list, ok := c.Get("selected_link_ids").([]Value)
	if !ok {
		return nil, fmt.Errorf("LinkSelection(...): want selected_link_ids=[...]")
	}
	for _, v := range list {
		id, ok := v.(int64)
		if !ok || id < 0 || id > 1<<30 {
			return nil, fmt.Errorf("selected_link_ids: want link ids, have %s", Print(v))
		}
		a.Links = append(a.Links, int32(id))
	}
	return a, nil
}

func readAnswer(s script) (Action, error) {
	c, err := only(s, "Answer")
	if err != nil {
		return nil, err
	}
	a := Answer{}
	if a.Thoughts, err = c.text("thoughts"); err != nil {
		return nil, err
	}
	if a.Answer, err = c.text("answer"); err != nil {
		return nil, err
	}
	if blank(a.Answer) {
		return nil, fmt.Errorf("Answer(...): want an answer")
	}
	return a, nil
}

// readCheck takes Check_Answer(passed=...), Revise_Answer(revised_answer=...), or the first followed by the second.
func readCheck(s script) (Action, error) {
	a := Check{Comments: s.comments}
	for i, c := range s.calls {
		switch {
		case c.Name == "Check_Answer" && i == 0:
			passed, ok := c.Get("passed").(bool)
			if !ok {
				return nil, fmt.Errorf("Check_Answer(...): want passed=True or passed=False")
			}
			a.Passed = passed
		case c.Name == "Revise_Answer" && i == len(s.calls)-1 && !a.Passed:
			revised, err := c.text("revised_answer")
			if err != nil {
				return nil, err
			}
			if blank(revised) {
				return nil, fmt.Errorf("Revise_Answer(...): want a revised_answer")
			}
			a.Revised = revised
		default:
			return nil, fmt.Errorf("%s(...): want Check_Answer(passed=...) or Revise_Answer(revised_answer=...)", c.Name)
		}
	}
	return a, nil
}

// effect is what an action does, its reasoning aside: equal effects are equal actions.
func effect(a Action) string {
	switch a := a.(type) {
	case Search:
		return "search " + a.Query
	case Use:
		return a.Tool + " " + a.Query
	case Terminate:
		return "terminate"
	case Selection:
		return fmt.Sprint(slices.Sorted(slices.Values(a.Links)), a.Summary)
	case Answer:
		return a.Answer
	case Check:
		return fmt.Sprint(a.Passed, a.Revised)
	}
	return ""
}

// Canonical prints an output's action in one way, so that outputs that do the same are equal; comments and layout do
// not count. An output that cannot be read is itself.
func Canonical(kind pb.StepKind, text string) string {
	s, err := parseScript(text)
	if err != nil || len(s.calls) == 0 {
		return strings.Trim(text, " \t\r\n")
	}
	var parts []string
	for _, c := range s.calls {
		parts = append(parts, Print(c))
	}
	return strings.Join(parts, "\n")
}
