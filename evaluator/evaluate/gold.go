package evaluate

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/dataset"
)

// goldSets reads the gold answers of evaluation sets from the blob store, each once. The content of a URI never
// changes.
type goldSets struct {
	blobs blob.Store

	mu    sync.Mutex // guards known, and keeps a set from being read twice at once
	known map[string]goldSet
}

// goldSet is the right answers of a set's questions, by the question's token.
type goldSet map[string][]string

// maxGoldSets bounds the sets kept in memory; a role serves few runs at a time.
const maxGoldSets = 16

func newGoldSets(blobs blob.Store) *goldSets {
	return &goldSets{blobs: blobs, known: map[string]goldSet{}}
}

// read returns the set at the URI.
func (g *goldSets) read(ctx context.Context, uri string) (goldSet, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if set, ok := g.known[uri]; ok {
		return set, nil
	}
	set, err := g.load(ctx, uri)
	if err != nil {
		return nil, fmt.Errorf("read gold answers %s: %w", uri, err)
	}
	if len(g.known) == maxGoldSets {
		clear(g.known)
	}
	g.known[uri] = set
	return set, nil
}

func (g *goldSets) load(ctx context.Context, uri string) (goldSet, error) {
	key, err := g.blobs.Key(uri)
	if err != nil {
		return nil, err
	}
	body, err := g.blobs.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	set := goldSet{}
	for gold, err := range dataset.ReadGold(body) {
		if err != nil {
			return nil, err
		}
		set[gold.Token] = gold.Answers
	}
	return set, nil
}

// reference is what the judge is shown: any of the answers will do.
func reference(answers []string) string { return strings.Join(answers, " or ") }

// redacted stands where a gold answer stood.
const redacted = "[reference]"

// redact cuts gold answers out of a text that leaves this role.
func redact(text string, answers []string) string {
	for _, answer := range answers {
		if answer = strings.TrimSpace(answer); answer != "" {
			text = wholeWords(answer).ReplaceAllLiteralString(text, redacted)
		}
	}
	return text
}

// wholeWords finds a phrase in any case, and not inside of another word: gold may be "no" or "4".
func wholeWords(phrase string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(phrase)
	if isWordByte(phrase[0]) {
		quoted = `\b` + quoted
	}
	if isWordByte(phrase[len(phrase)-1]) {
		quoted += `\b`
	}
	return regexp.MustCompile(`(?i)` + quoted)
}

// isWordByte is what regexp's \b takes for a part of a word.
func isWordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// redactedError is an error whose text shows no gold answer: servers quote the prompt they refuse, and an error
// ends up in the log and in a dead letter.
type redactedError struct {
	err  error
	text string
}

func redactError(err error, answers []string) error {
	return &redactedError{err: err, text: redact(err.Error(), answers)}
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }
