package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"html"
	"regexp"
	"strings"
	"unicode"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// maxSnippet bounds a result's text in a prompt, in characters.
const maxSnippet = 1500

var tag = regexp.MustCompile(`</?[a-zA-Z][^<>]{0,200}>`)

// clean makes a search result fit for a prompt: no tags, no entities, no control characters, one line.
func clean(text string) string {
	text = html.UnescapeString(tag.ReplaceAllString(text, ""))
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if runes := []rune(text); len(runes) > maxSnippet {
		text = string(runes[:maxSnippet]) + "..."
	}
	return text
}

// KindName is a step kind as prompts, mixtures and people write it.
func KindName(kind pb.StepKind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "STEP_KIND_"))
}

// Render is the prompt of the state's coming step. Few-shot: instructions, exemplars (shots of them, 0 for all there
// are), the state. Bare: the state alone, the step's kind last. Both end with a newline.
func Render(s *State, kind pb.StepKind, r pb.Rendering, shots int) string {
	if r == pb.Rendering_RENDERING_BARE {
		return s.render(kind) + "# Step: " + KindName(kind) + "\n"
	}
	t := templates()[kind]
	return t.prefix(shots, s.instructions(kind)) + t.banner(shots) + s.render(kind) + s.questionLine() + "\n"
}

// render is the part of a prompt that depends on the state.
func (s *State) render(kind pb.StepKind) string {
	var b strings.Builder
	b.WriteString(s.questionLine())
	b.WriteString("PAST_ACTIONS: List[Action] = [\n")
	for _, action := range s.past {
		b.WriteString(Print(action) + ",\n")
	}
	b.WriteString("]\n")
	switch kind {
	case pb.StepKind_STEP_KIND_DECISION:
		b.WriteString("REMAINING_SEARCHES: int = " + Print(int64(s.remaining)) + "\n")
	case pb.StepKind_STEP_KIND_SUMMARIZATION:
		b.WriteString("CURRENT_SEARCH_RESULTS = " + Print(s.shown()) + "\n")
	case pb.StepKind_STEP_KIND_RELEVANCE, pb.StepKind_STEP_KIND_GROUNDING:
		b.WriteString("ANSWER: str = " + Print(s.answer) + "\n")
	}
	return b.String()
}

// instructions are what a step's template does not say: the actions of tools beside Search.
func (s *State) instructions(kind pb.StepKind) string {
	if kind != pb.StepKind_STEP_KIND_DECISION {
		return ""
	}
	return classes(s.forms)
}

func (s *State) questionLine() string {
	return "ORIGINAL_QUESTION: str = " + Print(s.question) + "\n"
}

func (s *State) shown() *Call {
	items := []Value{}
	for _, r := range s.results {
		items = append(items, item(r))
	}
	return &Call{Name: "SearchResult", Args: []Arg{{"links", items}}}
}

func promptHash(prompt string) string {
	sum := sha256.Sum256([]byte(prompt))
	return hex.EncodeToString(sum[:])
}
