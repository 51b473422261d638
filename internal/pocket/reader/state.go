package reader

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/pocket/lang"
)

// Known is a fact with the link that states it.
type Known struct {
	lang.Fact
	Link int
}

// Need is the first hop that the snippets do not give.
type Need struct {
	Entity   string
	Relation *lang.Relation
}

// State is what the text of an agent's prompt tells.
type State struct {
	Question  lang.Question
	Queries   []string
	Selected  []Known // facts of the links selected so far
	Results   []Known // facts of the search results to select from
	Exhausted bool    // no search is left
	Answer    string
	Bridge    *Known // the first hop, if it is known
	Value     *Known // the second hop, if it is known
	Need      *Need  // nil: both hops are known
}

// ReadState reads the bare rendering of a state; ok is false if its question is none of the language.
func ReadState(text string) (s State, ok bool) {
	past, current, _ := strings.Cut(text, "CURRENT_SEARCH_RESULTS")
	all := scan(past)
	question, _ := last(all, "ORIGINAL_QUESTION")
	if s.Question, ok = lang.ReadQuestion(question); !ok {
		return s, false
	}
	for i, it := range all {
		if it.name == "query" && i > 0 {
			s.Queries = append(s.Queries, it.value)
		}
	}
	left, counted := last(all, "REMAINING_SEARCHES")
	s.Exhausted = counted && left == "0"
	s.Selected, s.Results = readLinks(all), readLinks(scan(current))
	s.Answer, _ = last(scan(text), "ANSWER")
	s.work()
	return s, true
}

// readLinks reads the facts of ResultItems, whatever the order of their keywords.
func readLinks(all []item) []Known {
	var out []Known
	var snippet string
	link, inside := -1, false
	flush := func() {
		if f, ok := lang.ReadFact(snippet); inside && ok && link >= 0 {
			out = append(out, Known{f, link})
		}
		snippet, link, inside = "", -1, false
	}
	for _, it := range all {
		switch {
		case it.call != "":
			flush()
			inside = it.call == "ResultItem"
		case it.name == "snippet":
			snippet = it.value
		case it.name == "link_id":
			if n, err := strconv.Atoi(it.value); err == nil {
				link = n
			}
		}
	}
	flush()
	return out
}

// work follows the question's hops through the selected facts.
func (s *State) work() {
	s.Bridge = Find(s.Selected, s.Question.Entity, s.Question.First)
	if s.Bridge == nil {
		s.Need = &Need{s.Question.Entity, s.Question.First}
		return
	}
	if s.Value = Find(s.Selected, s.Bridge.Value, s.Question.Second); s.Value == nil {
		s.Need = &Need{s.Bridge.Value, s.Question.Second}
	}
}

// Find is the fact of an entity and a relation among facts; nil if it is not there.
func Find(facts []Known, entity string, r *lang.Relation) *Known {
	i := slices.IndexFunc(facts, func(k Known) bool { return k.Entity == entity && k.Relation == r })
	if i < 0 {
		return nil
	}
	return &facts[i]
}
