package reader

import (
	"fmt"
	"slices"
	"strings"
)

// judgement is what an output is worth, and why.
type judgement struct {
	score  int
	reason string
}

// unreadable and empty are below every score of a readable output.
const unreadable, empty = -20, -10

// judge scores one output for a state.
func (s *State) judge(output string) judgement {
	all := scan(output)
	for _, it := range all {
		if it.name != "" && it.value == "" && it.name != "selected_link_ids" {
			return judgement{empty, "its " + it.name + " is empty"}
		}
	}
	checks := calls(all, "Check_Answer") || calls(all, "Revise_Answer")
	if checks && !strings.Contains(output, "#") {
		return judgement{empty, "its comments are empty"}
	}
	switch {
	case calls(all, "Search"):
		query, _ := last(all, "query")
		thoughts, _ := last(all, "thoughts")
		return s.judgeSearch(query, thoughts)
	case calls(all, "Terminate"):
		return s.judgeTerminate()
	case calls(all, "LinkSelection"):
		links, _ := last(all, "selected_link_ids")
		summary, _ := last(all, "grounded_summarization")
		return s.judgeSelection(numbers(links), summary)
	case calls(all, "Revise_Answer"):
		revised, _ := last(all, "revised_answer")
		return s.judgeRevision(revised)
	case calls(all, "Check_Answer"):
		passed, _ := last(all, "passed")
		return s.judgeCheck(passed == "True")
	case calls(all, "Answer"):
		answer, _ := last(all, "answer")
		return s.judgeAnswer(answer)
	}
	return judgement{unreadable, "it holds no action that I can read"}
}

func (s *State) judgeSearch(query, thoughts string) judgement {
	if s.Need == nil {
		return judgement{0, "it searches although both facts are known"}
	}
	if s.Exhausted {
		return judgement{0, "it searches although no search is left"}
	}
	var j judgement
	var good, bad []string
	rate := func(ok bool, points int, yes, no string) {
		if ok {
			j.score += points
			good = append(good, yes)
		} else {
			bad = append(bad, no)
		}
	}
	rate(strings.Contains(query, s.Need.Entity), 2, "asks about "+s.Need.Entity, "does not ask about "+s.Need.Entity)
	rate(has(query, s.Need.Relation.Cue), 1, "for the "+s.Need.Relation.Noun, "not for the "+s.Need.Relation.Noun)
	rate(has(thoughts, s.Need.Relation.Noun), 1, "and its thought says so", "its thought does not name the "+s.Need.Relation.Noun)
	if slices.Contains(s.Queries, query) {
		j.score -= 3
		bad = append(bad, "the query was made before")
	}
	j.reason = "it " + strings.Join(append(good, bad...), ", ")
	return j
}

func (s *State) judgeTerminate() judgement {
	switch {
	case s.Need == nil:
		return judgement{4, "both facts are known, so it stops"}
	case s.Exhausted:
		return judgement{4, "no search is left, so it stops"}
	}
	return judgement{0, fmt.Sprintf("it stops although the %s of %s is not known", s.Need.Relation.Noun, s.Need.Entity)}
}

func (s *State) judgeSelection(links []int, summary string) judgement {
	var wanted *Known
	if s.Need != nil {
		wanted = Find(s.Results, s.Need.Entity, s.Need.Relation)
	}
	if wanted == nil {
		if len(links) == 0 {
			return judgement{3, "no result states what is needed, and it selects none"}
		}
		return judgement{0, "it selects a link that does not state what is needed"}
	}
	if !slices.Contains(links, wanted.Link) {
		return judgement{0, fmt.Sprintf("it leaves out link %d, which states the %s of %s", wanted.Link, wanted.Relation.Noun, wanted.Entity)}
	}
	j := judgement{4 - len(links), fmt.Sprintf("it selects link %d, which states the %s of %s", wanted.Link, wanted.Relation.Noun, wanted.Entity)}
	if strings.Contains(summary, wanted.Entity) && strings.Contains(summary, wanted.Value) && has(summary, wanted.Relation.Noun) {
		j.score += 2
		j.reason += ", and its summary tells that fact"
	} else {
		j.reason += ", but its summary does not tell that fact"
	}
	return j
}

func (s *State) judgeAnswer(answer string) judgement {
	text := uncited(answer)
	if s.Value == nil {
		if text == "unknown" {
			return judgement{2, "the snippets do not give the answer, and it says so"}
		}
		return judgement{0, "it answers " + quote(text) + ", which no snippet gives"}
	}
	if text != s.Value.Value {
		return judgement{0, "it answers " + quote(text) + ", but the snippets give " + quote(s.Value.Value)}
	}
	if slices.Equal(cited(answer), []int{s.Value.Link}) {
		return judgement{4, fmt.Sprintf("it answers %s and cites link %d, which states it", quote(text), s.Value.Link)}
	}
	return judgement{3, "it answers " + quote(text) + ", which the snippets give, but does not cite the link"}
}

func (s *State) judgeCheck(passed bool) judgement {
	right := s.Value == nil && uncited(s.Answer) == "unknown" || s.Value != nil && uncited(s.Answer) == s.Value.Value
	switch {
	case passed && right:
		return judgement{3, "the answer is what the snippets give, and it passes it"}
	case passed:
		return judgement{0, "it passes an answer that the snippets do not give"}
	default:
		return judgement{0, "it rejects the answer without a better one"}
	}
}

func (s *State) judgeRevision(revised string) judgement {
	text := uncited(revised)
	switch {
	case s.Value == nil:
		return judgement{0, "it revises the answer although the snippets give none"}
	case uncited(s.Answer) == s.Value.Value:
		return judgement{0, "it revises an answer that the snippets give"}
	case text == s.Value.Value && slices.Contains(cited(revised), s.Value.Link):
		return judgement{3, "it revises a wrong answer to " + quote(text) + ", which the snippets give"}
	case text == s.Value.Value:
		return judgement{2, "it revises a wrong answer to " + quote(text) + " without citing its link"}
	}
	return judgement{0, "it revises to " + quote(text) + ", but the snippets give " + quote(s.Value.Value)}
}

// has says whether a word occurs in a text.
func has(text, word string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" .,?!:;'\"", r) }), word)
}

func quote(s string) string { return "“" + s + "”" }
