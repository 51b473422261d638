package pocket

import (
	"strconv"
	"sync"

	"github.com/ratchet-rl/ratchet/internal/pocket/demo"
	"github.com/ratchet-rl/ratchet/internal/pocket/lang"
	"github.com/ratchet-rl/ratchet/internal/pocket/token"
)

// The course that the grammar's pieces are learned from. It is the same for every base, so that all models share one
// vocabulary.
const (
	grammarSeed, grammarWorlds, grammarQuestions = 1, 6, 40
	// often is how often a piece must occur to be a token.
	often = 3
	// numbers are tokens from 0 to below this: link ids, searches left.
	numbers = 41
)

// vocabulary learns the pieces of the grammar from demonstrations, so that they follow the agent's renderings
// and codec without being listed anywhere; the words are the language's.
var vocabulary = sync.OnceValues(func() (*token.Vocabulary, error) {
	words := lang.Words()
	for n := range numbers {
		words = append(words, strconv.Itoa(n))
	}
	shown, err := demo.Show(grammarSeed, demo.Sloppy, grammarWorlds, grammarQuestions)
	if err != nil {
		return nil, err
	}
	texts := make([]string, 0, 2*len(shown))
	for _, d := range shown {
		texts = append(texts, d.Prompt, d.Completion)
	}
	return token.New(token.Learn(texts, words, often), words), nil
})
