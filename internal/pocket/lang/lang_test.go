package lang

import (
	"slices"
	"strings"
	"testing"
)

func TestRelations(t *testing.T) {
	t.Parallel()
	for i := range Relations {
		r := &Relations[i]
		s, ok := Named(r.Sibling)
		if !ok || s.From != r.From || s == r {
			t.Errorf("%s: sibling %q is no other relation of the same type", r.Noun, r.Sibling)
		}
		for _, w := range r.Wordings {
			if words := strings.FieldsFunc(w, func(c rune) bool { return strings.ContainsRune(" .", c) }); !slices.Contains(words, r.Cue) {
				t.Errorf("%s: wording %q lacks the cue %q, so a search would miss it", r.Noun, w, r.Cue)
			}
		}
	}
}

func TestNamesHaveOneType(t *testing.T) {
	t.Parallel()
	seen := map[string]Type{}
	for typ := Person; typ <= Year; typ++ {
		for _, n := range Names(typ) {
			if other, ok := seen[n]; ok {
				t.Errorf("%q is a %d and a %d", n, other, typ)
			}
			seen[n] = typ
		}
	}
}

// Every wording and every question reads back as what it says.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for i := range Relations {
		r := &Relations[i]
		f := Fact{Names(r.From)[3], r, Names(r.To)[5]}
		for w := range r.Wordings {
			if got, ok := ReadFact(f.Tell(w)); !ok || got != f {
				t.Errorf("%q read as %v", f.Tell(w), got)
			}
		}
		for j := range Relations {
			second := &Relations[j]
			if second.From != r.To {
				continue
			}
			q := Question{f.Entity, r, second}
			for p := range r.Phrases {
				for o := range second.Questions {
					if got, ok := ReadQuestion(q.Ask(p, o)); !ok || got != q {
						t.Errorf("%q read as %v", q.Ask(p, o), got)
					}
				}
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("In 1943 the company Apex Group opened.")
	f.Add("Where was the author of Silver Harbor born?")
	f.Add("The river {V} runs through {E}.")
	f.Fuzz(func(t *testing.T, text string) {
		if fact, ok := ReadFact(text); ok && !slices.ContainsFunc(fact.Relation.Wordings, func(w string) bool {
			return strings.NewReplacer("{E}", fact.Entity, "{V}", fact.Value).Replace(w) == text
		}) {
			t.Errorf("%q read as %v", text, fact)
		}
		ReadQuestion(text)
	})
}
