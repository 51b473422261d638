package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Tool answers queries. Safe for concurrent use. No results is no error.
type Tool interface {
	Search(ctx context.Context, query string, k int) ([]*pb.SearchResult, error)
}

// ErrTool means: the tool failed, not the model.
var ErrTool = errors.New("search")

// form is how a tool stands in the action grammar.
type form struct {
	tool     string // its name in a run file; Search has none
	action   string
	argument string
	// class is the action's in the instructions of a decision; Search's is in the template.
	class string
}

var searchForm = form{action: "Search", argument: "query"}

// forms of the tools that a run may have beside Search. What a tool finds is summarized like search results, and its use
// counts as a search.
var forms = []form{{
	tool: ToolCalculator, action: "Calculate", argument: "expression",
	class: `@dataclass
class Calculate(Action):
    """Works out a number exactly; counts as a search."""
    expression: str  # numbers, + - * / ** and brackets, such as '(1969 - 1902) / 2'


`,
}}

// find is the form of the tool of a name.
func find(all []form, tool string) (form, bool) {
	for _, f := range all {
		if f.tool == tool {
			return f, true
		}
	}
	return form{}, false
}

// formOf is the form of an action; false: no tool has it.
func formOf(action string) (form, bool) {
	for _, f := range append([]form{searchForm}, forms...) {
		if f.action == action {
			return f, true
		}
	}
	return form{}, false
}

// formsOf are the forms of a run's tools, Search first; a name that this version does not know is an error.
func formsOf(names []string) ([]form, error) {
	all := []form{searchForm}
	for _, name := range names {
		f, ok := find(forms, name)
		if !ok {
			return nil, fmt.Errorf("tool %q is not known to this version", name)
		}
		all = append(all, f)
	}
	return all, nil
}

// classes are the instructions for a run's tools beside Search.
func classes(all []form) string {
	var b strings.Builder
	for _, f := range all {
		b.WriteString(f.class)
	}
	return b.String()
}

// tool is what answers an action.
func (a *Agent) tool(f form) (Tool, error) {
	if f == searchForm {
		return a.Tool, nil
	}
	if t := a.Tools[f.tool]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("this agent has no tool %q", f.tool)
}
