package lang

import (
	"strings"
	"sync"
)

// Fact says that the relation of Entity is Value.
type Fact struct {
	Entity   string
	Relation *Relation
	Value    string
}

// Question asks for the Second relation of the First relation of Entity.
type Question struct {
	Entity        string
	First, Second *Relation
}

// Tell is the fact in one of the relation's wordings.
func (f Fact) Tell(wording int) string {
	w := f.Relation.Wordings[wording%len(f.Relation.Wordings)]
	return strings.NewReplacer("{E}", f.Entity, "{V}", f.Value).Replace(w)
}

// Ask is the question in words; phrase and question choose among the variants.
func (q Question) Ask(phrase, question int) string {
	inner := q.First.Phrases[phrase%len(q.First.Phrases)]
	outer := q.Second.Questions[question%len(q.Second.Questions)]
	inner = strings.Replace(inner, "{E}", q.Entity, 1)
	return strings.Replace(outer, "{E}", inner, 1)
}

// ReadFact reads a sentence that tells a fact.
func ReadFact(text string) (Fact, bool) {
	for i := range Relations {
		r := &Relations[i]
		for _, w := range r.Wordings {
			if e, v, ok := matchFact(text, w); ok && Is(e, r.From) && Is(v, r.To) {
				return Fact{Entity: e, Relation: r, Value: v}, true
			}
		}
	}
	return Fact{}, false
}

// ReadQuestion reads a two-hop question.
func ReadQuestion(text string) (Question, bool) {
	for i := range Relations {
		second := &Relations[i]
		for _, pattern := range second.Questions {
			phrase, ok := match(text, pattern, "{E}")
			if !ok {
				continue
			}
			if entity, first, ok := readPhrase(phrase, second.From); ok {
				return Question{Entity: entity, First: first, Second: second}, true
			}
		}
	}
	return Question{}, false
}

func readPhrase(text string, to Type) (entity string, r *Relation, ok bool) {
	for i := range Relations {
		r := &Relations[i]
		if r.To != to {
			continue
		}
		for _, p := range r.Phrases {
			if e, ok := match(text, p, "{E}"); ok && Is(e, r.From) {
				return e, r, true
			}
		}
	}
	return "", nil, false
}

// typeOf knows every name of the language; no name has two types.
var typeOf = sync.OnceValue(func() map[string]Type {
	types := map[string]Type{}
	for t := Person; t <= Year; t++ {
		for _, n := range Names(t) {
			types[n] = t
		}
	}
	return types
})

// Is says whether a text is a name of the type.
func Is(text string, t Type) bool {
	got, ok := typeOf()[text]
	return ok && got == t
}

// match finds what stands for the only blank of a pattern.
func match(text, pattern, blank string) (string, bool) {
	before, after, _ := strings.Cut(pattern, blank)
	if len(text) < len(before)+len(after) || !strings.HasPrefix(text, before) || !strings.HasSuffix(text, after) {
		return "", false
	}
	return text[len(before) : len(text)-len(after)], true
}

// matchFact finds what stands for {E} and {V}; names have one or two words, so where the blanks touch only a
// space, every cut is tried.
func matchFact(text, wording string) (e, v string, ok bool) {
	one, two, swapped := "{E}", "{V}", false
	if strings.Index(wording, two) < strings.Index(wording, one) {
		one, two, swapped = two, one, true
	}
	before, rest, _ := strings.Cut(wording, one)
	middle, after, _ := strings.Cut(rest, two)
	text, ok = match(text, before+one+after, one)
	for at := 0; ok; {
		i := strings.Index(text[at:], middle)
		if i < 0 {
			return "", "", false
		}
		a, b := text[:at+i], text[at+i+len(middle):]
		_, okA := typeOf()[a]
		_, okB := typeOf()[b]
		if okA && okB {
			if swapped {
				a, b = b, a
			}
			return a, b, true
		}
		at += i + 1
	}
	return "", "", false
}
