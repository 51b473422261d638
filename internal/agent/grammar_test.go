package agent

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// expecting is a state whose coming step has that kind, with three results shown.
func expecting(kind pb.StepKind, remaining int) *State {
	s := NewState("Who?", &pb.Limits{Searches: 4, Results: 3})
	s.next, s.remaining = kind, remaining
	s.nextLink = 9
	s.present([]*pb.SearchResult{{Title: "a"}, {Title: "b"}, {Title: "c"}})
	return s
}

// Whatever a grammar allows, the codec reads and the controller takes, and nothing in it is empty.
func TestGrammarAllowsOnlyActions(t *testing.T) {
	t.Parallel()
	for kind := range exemplarsOf {
		for _, remaining := range []int{0, 2} {
			t.Run(fmt.Sprint(KindName(kind), " ", remaining), func(t *testing.T) {
				t.Parallel()
				s := expecting(kind, remaining)
				random := rand.New(rand.NewPCG(7, uint64(kind)))
				g := readGBNF(t, s.Grammar(100))
				for range 100 {
					text := g.sentence(random)
					action, err := s.read(kind, text)
					if err != nil {
						t.Fatalf("%v:\n%s", err, text)
					}
					if action.empty() {
						t.Fatalf("an element is empty:\n%s", text)
					}
					if most := 5 * 100 * charsPerToken / 5; len([]rune(text)) > most+200 {
						t.Fatalf("%d characters for 100 tokens", len([]rune(text)))
					}
				}
			})
		}
	}
}

// A grammar takes what the exemplars show, as far as it is not too long: a model is asked for what it was shown.
func TestGrammarTakesTheExemplars(t *testing.T) {
	t.Parallel()
	for kind, template := range templates() {
		for i, e := range template.exemplars {
			s := expecting(kind, 2)
			s.results = nil
			for id := range int32(10) {
				s.results = append(s.results, &pb.SearchResult{LinkId: id})
			}
			g := readGBNF(t, s.Grammar(1000))
			if !g.matches(e.output) {
				t.Errorf("%s exemplar %d is not in the grammar:\n%s", KindName(kind), i+1, e.output)
			}
		}
	}
}

// gbnf reads as much of GBNF as Grammar writes, independently of it.
type gbnf map[string]string

var (
	gbnfRule  = regexp.MustCompile(`^([a-z0-9]+) ::= (.*)$`)
	gbnfToken = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{\d+,\d+\}|[a-z0-9]+|[()|])`)
)

func readGBNF(t *testing.T, text string) gbnf {
	t.Helper()
	g := gbnf{}
	for line := range strings.Lines(text) {
		m := gbnfRule.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Fatalf("no rule: %q", line)
		}
		g[m[1]] = m[2]
	}
	return g
}

// regexp is the grammar as a regular expression, which it is: no rule refers back to itself. How long a text may be is
// left out, because Go's expressions count to a thousand.
func (g gbnf) regexp(rule string) string {
	var b strings.Builder
	for rest := strings.TrimSpace(g[rule]); rest != ""; rest = strings.TrimSpace(rest) {
		token := gbnfToken.FindString(rest)
		if token == "" {
			panic("no token: " + rest)
		}
		rest = rest[len(token):]
		switch token[0] {
		case '"':
			literal, err := strconv.Unquote(token)
			if err != nil {
				panic(err)
			}
			b.WriteString("(?:" + regexp.QuoteMeta(literal) + ")")
		case '{':
			if len(token) > len("{0,99}") {
				token = "*"
			}
			b.WriteString(token)
		case '[', '|', '(', ')':
			b.WriteString(strings.Replace(token, "(", "(?:", 1))
		default:
			b.WriteString("(?:" + g.regexp(token) + ")")
		}
	}
	return b.String()
}

func (g gbnf) matches(text string) bool {
	return regexp.MustCompile("^(?:" + g.regexp("root") + ")$").MatchString(text)
}

// sentence of the grammar, at random.
func (g gbnf) sentence(random *rand.Rand) string {
	text, rest := g.alternatives(random, g["root"])
	if rest != "" {
		panic("left over: " + rest)
	}
	return text
}

// alternatives makes one of those up to the closing bracket or the end.
func (g gbnf) alternatives(random *rand.Rand, rest string) (text, after string) {
	options := []string{""}
	for {
		rest = strings.TrimSpace(rest)
		token := gbnfToken.FindString(rest)
		switch token {
		case "", ")":
			return options[random.IntN(len(options))], rest
		case "|":
			options, rest = append(options, ""), rest[1:]
			continue
		}
		before := rest
		var made string
		made, rest = g.atom(random, before)
		if count := regexp.MustCompile(`^\{(\d+),(\d+)\}`).FindStringSubmatch(rest); count != nil {
			least, _ := strconv.Atoi(count[1])
			most, _ := strconv.Atoi(count[2])
			made = ""
			for range least + random.IntN(most-least+1) {
				again, _ := g.atom(random, before)
				made += again
			}
			rest = rest[len(count[0]):]
		}
		options[len(options)-1] += made
	}
}

func (g gbnf) atom(random *rand.Rand, rest string) (text, after string) {
	token := gbnfToken.FindString(rest)
	after = rest[len(token):]
	switch token[0] {
	case '(':
		text, after = g.alternatives(random, after)
		return text, after[1:]
	case '"':
		text, _ = strconv.Unquote(token)
		return text, after
	case '[':
		class := regexp.MustCompile(token)
		for {
			runes := []rune("abcXYZ 019()[]{}<>,;:=\\'\"#\n\t\x00éß漢🙂%&")
			if one := string(runes[random.IntN(len(runes))]); class.MatchString(one) {
				return one, after
			}
		}
	}
	text, left := g.alternatives(random, g[token])
	if left != "" {
		panic("left over: " + left)
	}
	return text, after
}
