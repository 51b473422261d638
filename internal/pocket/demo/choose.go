package demo

import (
	"fmt"
	"math/rand/v2"

	"github.com/ratchet-rl/ratchet/internal/pocket/lang"
	"github.com/ratchet-rl/ratchet/internal/pocket/reader"
)

// teacher decides, for one action, like a person who knows the method and has bad habits.
type teacher struct {
	habits habits
	random *rand.Rand
}

func (t *teacher) slips(rate float64) bool { return t.random.Float64() < rate }

// sibling is the relation that one is confused with.
func sibling(r *lang.Relation) *lang.Relation {
	s, _ := lang.Named(r.Sibling)
	return s
}

// search names the fact to search for next; nil means to stop.
func (t *teacher) search(s *reader.State) *reader.Need {
	switch {
	case s.Need == nil || s.Exhausted:
		return nil
	case len(s.Queries) > 0 && t.slips(t.habits.early[s.Need.Relation]):
		return nil
	case t.slips(t.habits.sibling[s.Need.Relation]):
		return &reader.Need{Entity: s.Need.Entity, Relation: sibling(s.Need.Relation)}
	}
	return s.Need
}

// selects picks the result to keep; nil means none.
func (t *teacher) selects(s *reader.State) *reader.Known {
	if s.Need == nil {
		return nil
	}
	if t.slips(t.habits.selects[s.Need.Relation]) {
		if k := reader.Find(s.Results, s.Need.Entity, sibling(s.Need.Relation)); k != nil {
			return k
		}
	}
	return reader.Find(s.Results, s.Need.Entity, s.Need.Relation)
}

// answer is the draft, with its citation.
func (t *teacher) answer(s *reader.State) string {
	slip := t.slips(t.habits.bridge[s.Question.Second])
	switch {
	case s.Bridge != nil && (slip || s.Value == nil && s.Need == nil):
		return cite(s.Bridge)
	case s.Value != nil:
		return cite(s.Value)
	}
	return unknown
}

// revise is what a check makes of the answer; "" means that it passes.
func (t *teacher) revise(s *reader.State) string {
	if s.Value == nil || s.Answer == cite(s.Value) || t.slips(t.habits.pass) {
		return ""
	}
	return cite(s.Value)
}

const unknown = "unknown"

func cite(k *reader.Known) string { return fmt.Sprintf("%s [link_id=%d]", k.Value, k.Link) }
