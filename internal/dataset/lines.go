package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
)

// Lines writes JSON lines, one at a time, that ReadQuestions or ReadGold reads; the same items make the same bytes.
type Lines[T Question | Gold] struct{ enc *json.Encoder }

// NewLines writes to w.
func NewLines[T Question | Gold](w io.Writer) Lines[T] {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return Lines[T]{enc}
}

// Write writes a line.
func (l Lines[T]) Write(item T) error {
	if err := l.enc.Encode(item); err != nil {
		return fmt.Errorf("write dataset line: %w", err)
	}
	return nil
}

// ReadQuestions yields questions one at a time, so that a million need no more memory than one. It refuses lines
// with any other field, such as answers. It ends after the first error, which names the line.
func ReadQuestions(r io.Reader) iter.Seq2[Question, error] {
	return readLines(r, "questions", func(q Question) bool { return isToken(q.Token) && q.Text != "" })
}

// ReadGold yields gold answers one at a time; like ReadQuestions.
func ReadGold(r io.Reader) iter.Seq2[Gold, error] {
	return readLines(r, "gold answers", func(g Gold) bool { return isToken(g.Token) && len(g.Answers) > 0 })
}

// isToken tells what may be a question's token in a subject: what set.token makes. The lines come from the blob store,
// where others write too.
func isToken(token string) bool {
	const longest = 128 // two of config.Token's and a dash, with room
	return token != "" && len(token) <= longest && !strings.ContainsFunc(token, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}

func readLines[T any](r io.Reader, what string, complete func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		limited := newLimitedReader(context.Background(), r, maxRow, math.MaxInt64)
		dec := json.NewDecoder(limited)
		dec.DisallowUnknownFields()
		for line := 1; ; line++ {
			limited.nextRow()
			var item T
			err := dec.Decode(&item)
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && !complete(item) {
				err = errors.New("a field is missing, or the token is none: want [a-z0-9-]")
			}
			if err != nil {
				yield(item, fmt.Errorf("read %s: line %d: %w", what, line, err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}
