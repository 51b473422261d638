package dataset

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// maxText is the largest question in bytes; a longer one is no question but a document.
const maxText = 16 << 10

// Question is what the agent is asked.
type Question struct {
	Token string `json:"token"` // subject token, unique in its set: <set>-<config.Token(id)>
	ID    string `json:"id"`    // as the dataset says, else <set>_<index>
	Text  string `json:"text"`
}

// Gold is the right answers of an evaluation question. It is a type of its own so that what holds questions
// cannot hold answers.
type Gold struct {
	Token   string   `json:"token"`
	Answers []string `json:"answers"` // at least one; any of them is right
}

// Warning is something the operator should know about a set that could be used all the same.
type Warning string

// LoadPool hands over the questions of a pool one by one, dropping repeated ones. Answers are never read; that there
// are some is a warning. The error is the callback's, or an *Error if the set is at fault.
func LoadPool(ctx context.Context, open Opener, src config.Source, each func(Question) error) ([]Warning, error) {
	set := newSet(src)
	return set.load(ctx, open, func(r row, q Question) (bool, error) {
		if key := answerKey(r, src.AnswerField); key != "" {
			set.tally.note(answersIgnored, r, key)
		}
		return true, each(q)
	})
}

// LoadEvaluation hands over questions with their gold answers; like LoadPool.
func LoadEvaluation(ctx context.Context, open Opener, src config.Source, each func(Question, Gold) error) ([]Warning, error) {
	set := newSet(src)
	return set.load(ctx, open, func(r row, q Question) (bool, error) {
		answers, err := set.answers(r)
		if err != nil || len(answers) == 0 {
			return false, err
		}
		return true, each(q, Gold{Token: q.Token, Answers: answers})
	})
}

// set turns rows of one source into questions. Its memory is about 80 bytes for each: what was seen is kept by hash.
type set struct {
	src    config.Source
	name   string // a token
	texts  map[seen]struct{}
	tokens map[seen]struct{}
	tally  tally
}

// seen is the hash of a text or a token.
type seen [16]byte

func newSet(src config.Source) *set {
	name := src.Name
	if name == "" {
		name = stem(src.Path)
	}
	return &set{
		src: src, name: config.Token(name),
		texts: map[seen]struct{}{}, tokens: map[seen]struct{}{},
	}
}

// load hands over the questions of all rows until the limit; take tells whether the question counts.
func (s *set) load(ctx context.Context, open Opener, take func(row, Question) (bool, error)) ([]Warning, error) {
	taken := 0
	for row, err := range rows(ctx, open, s.src.Path) {
		if err != nil {
			return nil, err
		}
		q, ok, err := s.question(row)
		if ok && err == nil {
			ok, err = take(row, q)
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if taken++; taken == s.src.Limit {
			break
		}
	}
	if taken == 0 {
		return nil, s.empty()
	}
	return s.tally.warnings(), nil
}

// question makes a question of a row; false means that the row is dropped and has been counted.
func (s *set) question(r row) (Question, bool, error) {
	text, err := questionText(r, s.src.Field)
	if err != nil {
		return Question{}, false, err
	}
	text = strings.TrimSpace(text)
	switch folded := strings.Join(strings.Fields(text), " "); {
	case text == "":
		s.tally.note(textMissing, r, "")
		return Question{}, false, nil
	case len(text) > maxText:
		s.tally.note(textTooLong, r, fmt.Sprintf("%d bytes", len(text)))
		return Question{}, false, nil
	case !add(s.texts, folded):
		s.tally.note(textRepeated, r, "")
		return Question{}, false, nil
	}
	id, err := rowID(r, s.src.IDField)
	if err != nil {
		return Question{}, false, err
	}
	if id == "" {
		id = fmt.Sprintf("%s_%d", s.name, r.index)
	}
	return Question{Token: s.token(id, text), ID: id, Text: text}, true, nil
}

// token is unique in the set: of two questions with one id, the later one's token also hashes its text.
func (s *set) token(id, text string) string {
	token := s.name + "-" + config.Token(id)
	if !add(s.tokens, token) {
		token = s.name + "-" + config.Token(id+"\n"+text)
		add(s.tokens, token)
	}
	return token
}

// answers reads a row's gold answers; none means that the row is dropped and has been counted.
func (s *set) answers(r row) ([]string, error) {
	answers, err := goldAnswers(r, s.src.AnswerField)
	if err != nil {
		return nil, err
	}
	if len(answers) == 0 {
		s.tally.note(answerMissing, r, "")
	}
	for _, a := range answers {
		if isMangledDate(a) {
			s.tally.note(answerMangled, r, fmt.Sprintf("%q", a))
			break
		}
	}
	return answers, nil
}

func (s *set) empty() error {
	return &Error{
		Place: s.src.Path, Problem: "no questions",
		Found: strings.Join(s.tally.lines(), "; "), Expected: "at least one row with a question",
		Fix: "check that this is the right file and that it is complete",
	}
}

// add tells whether key was new.
func add(m map[seen]struct{}, key string) bool {
	n, sum := len(m), sha256.Sum256([]byte(key))
	m[seen(sum[:16])] = struct{}{}
	return len(m) > n
}

// stem is the last element of a path or URL without its endings: pool for data/pool.jsonl.gz.
func stem(p string) string {
	p, _, _ = strings.Cut(p, "?")
	name, _, _ := strings.Cut(path.Base(strings.ReplaceAll(p, `\`, "/")), ".")
	if name == "" {
		return "questions"
	}
	return name
}
