package evaluate

import (
	"errors"
	"io"
	"testing"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text    string
		answers []string
		want    string
	}{
		{"The reference is Marie Curie.", []string{"Marie Curie"}, "The reference is [reference]."},
		{"MARIE CURIE, marie curie", []string{"Marie Curie"}, "[reference], [reference]"},
		{"no, it says nothing of 1904", []string{"no"}, "[reference], it says nothing of 1904"},
		{"1904 and 19045", []string{"1904"}, "[reference] and 19045"},
		{"A or B", []string{"A", "B"}, "[reference] or [reference]"},
		{"costs $5.00 (net)", []string{"$5.00 (net)"}, "costs [reference]"},
		{"in Zürich or ZÜRICH", []string{"Zürich"}, "in [reference] or [reference]"},
		{"in Ürümqi", []string{"Ürümqi"}, "in [reference]"},
		{"untouched", []string{"", "  "}, "untouched"},
	} {
		if got := redact(c.text, c.answers); got != c.want {
			t.Errorf("redact(%q, %q) = %q, want %q", c.text, c.answers, got, c.want)
		}
	}
}

func TestRedactedErrorKeepsItsKind(t *testing.T) {
	t.Parallel()
	err := redactError(errors.Join(io.ErrUnexpectedEOF, errors.New("refused prompt: REF_ANSWER = 'Paris'")), []string{"Paris"})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if got := err.Error(); got != "unexpected EOF\nrefused prompt: REF_ANSWER = '[reference]'" {
		t.Errorf("got %q", got)
	}
}
