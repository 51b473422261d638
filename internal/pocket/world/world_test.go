package world

import (
	"testing"

	"github.com/ratchet-rl/ratchet/internal/pocket/lang"
)

func TestWorld(t *testing.T) {
	t.Parallel()
	w := New(7)
	if n := len(w.Passages); n != 480 {
		t.Errorf("%d passages, want 480", n)
	}
	if n := len(w.Questions()); n != 990 {
		t.Errorf("%d questions, want 990", n)
	}
	for _, p := range w.Passages {
		f, ok := lang.ReadFact(p.Text)
		if got, known := w.Fact(f.Entity, f.Relation.Noun); !ok || !known || got != f || f.Entity != p.Title {
			t.Errorf("passage %q read as %v", p.Text, f)
		}
	}
	texts := map[string]bool{}
	for _, q := range w.Questions() {
		got, ok := lang.ReadQuestion(q.Text)
		if !ok || got != q.Question {
			t.Errorf("question %q read as %v, want %v", q.Text, got, q.Question)
		}
		texts[q.Text] = true
	}
	if len(texts) != 990 {
		t.Errorf("%d different questions", len(texts))
	}
}

// The query "<entity> <cue>" finds the fact among the three best.
func TestSearchFindsFacts(t *testing.T) {
	t.Parallel()
	w := New(7)
	x := NewIndex(w.Passages)
	missed := 0
	for _, p := range w.Passages {
		f, _ := lang.ReadFact(p.Text)
		found := false
		results, err := x.Search(t.Context(), f.Entity+" "+f.Relation.Cue, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			found = found || r.GetSnippet() == p.Text
		}
		if !found {
			missed++
			t.Logf("missed %q", p.Text)
		}
	}
	if missed > 24 {
		t.Errorf("%d of %d facts not found", missed, len(w.Passages))
	}
}
