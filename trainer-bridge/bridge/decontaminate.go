package bridge

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/dataset"
)

// Reasons for which examples are dropped, as they stand in Manifest.Dropped.
const (
	droppedExact    = "contaminated-exact"
	droppedNear     = "contaminated-near"
	droppedStrategy = "not-selected"
	droppedInvalid  = "invalid-trajectory"
)

// fewestWords is how many content words a question needs for one more or one less to be a near duplicate: in a
// shorter one a single word makes another question.
const fewestWords = 4

// functionWords carry no content: two questions that differ in them alone ask the same. Question words are
// content ("when was X born", "where was X born").
var functionWords = map[string]bool{
	"a": true, "an": true, "the": true, "of": true, "in": true, "on": true, "at": true, "to": true, "for": true,
	"by": true, "with": true, "from": true, "that": true, "and": true, "is": true, "was": true, "are": true,
	"were": true, "did": true, "do": true, "does": true, "has": true, "have": true, "had": true, "s": true,
}

// heldOut knows the questions of every evaluation set, to keep them out of mixtures. Two questions are the same
// when their letters and digits are, in lower case. They are near duplicates when they have the same content
// words in any order, or when one has a single word more; a replaced word ("Citibank", "Microsoft") makes another
// question. Its memory is about a kilobyte per evaluation question.
type heldOut struct {
	exact map[string]bool
	// words holds the content words of each question; fewer holds them with one word left out.
	words, fewer map[string]bool
}

// readHeldOut reads the questions, never the answers, of the run's evaluation sets.
func readHeldOut(ctx context.Context, blobs blob.Store, evaluation config.Evaluation) (*heldOut, error) {
	h := &heldOut{exact: map[string]bool{}, words: map[string]bool{}, fewer: map[string]bool{}}
	sets := []config.Source{evaluation.Set}
	if evaluation.Locked != nil {
		sets = append(sets, *evaluation.Locked)
	}
	for _, set := range sets {
		if set.URI == "" {
			continue
		}
		if err := h.read(ctx, blobs, set.URI); err != nil {
			return nil, fmt.Errorf("read evaluation set %s: %w", set.Name, err)
		}
	}
	return h, nil
}

func (h *heldOut) read(ctx context.Context, blobs blob.Store, uri string) error {
	key, err := blobs.Key(uri)
	if err != nil {
		return err
	}
	body, err := blobs.Get(ctx, key)
	if err != nil {
		return err
	}
	defer body.Close()
	for question, err := range dataset.ReadQuestions(body) {
		if err != nil {
			return err
		}
		h.add(question.Text)
	}
	return nil
}

func (h *heldOut) add(question string) {
	all := tokens(question)
	h.exact[join(all)] = true
	content := contentWords(all)
	if len(content) == 0 {
		return
	}
	h.words[join(content)] = true
	for shorter := range leaveOneOut(content) {
		h.fewer[shorter] = true
	}
}

// check is the reason to drop a question, empty if it may be trained on.
func (h *heldOut) check(question string) string {
	all := tokens(question)
	if h.exact[join(all)] {
		return droppedExact
	}
	content := contentWords(all)
	key := join(content)
	if h.words[key] || h.fewer[key] {
		return droppedNear
	}
	for shorter := range leaveOneOut(content) {
		if h.words[shorter] {
			return droppedNear
		}
	}
	return ""
}

// tokens are the runs of letters and digits, in lower case.
func tokens(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// contentWords is the sorted set of the tokens that carry content.
func contentWords(all []string) []string {
	content := slices.DeleteFunc(slices.Clone(all), func(word string) bool { return functionWords[word] })
	slices.Sort(content)
	return slices.Compact(content)
}

// leaveOneOut yields the keys of the words with each left out in turn, if enough are left to make a question.
func leaveOneOut(words []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if len(words) <= fewestWords {
			return
		}
		for i := range words {
			if !yield(join(slices.Concat(words[:i], words[i+1:]))) {
				return
			}
		}
	}
}

func join(words []string) string { return strings.Join(words, " ") }
