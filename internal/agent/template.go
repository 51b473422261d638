package agent

import (
	"embed"
	"fmt"
	"strings"
	"sync"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

//go:embed templates
var files embed.FS

// templateVersion is in every step's record; raise it when a rendering changes by a byte.
const templateVersion = 1

// exemplarsOf is how many exemplars each prompt has (paper, listings 1 to 6).
var exemplarsOf = map[pb.StepKind]int{
	pb.StepKind_STEP_KIND_DECISION: 9, pb.StepKind_STEP_KIND_SUMMARIZATION: 6, pb.StepKind_STEP_KIND_ANSWER: 5,
	pb.StepKind_STEP_KIND_RELEVANCE: 6, pb.StepKind_STEP_KIND_GROUNDING: 5,
}

// Template names the template that a step of this kind is rendered by.
func Template(kind pb.StepKind) string { return fmt.Sprintf("%s@%d", KindName(kind), templateVersion) }

// template is one step kind's instructions and exemplars, in the form of a Python module.
type template struct {
	header    string
	exemplars []exemplar
}

// exemplar is a state and the output that belongs to it.
type exemplar struct{ state, output string }

func (t *template) count(shots int) int {
	if shots <= 0 || shots > len(t.exemplars) {
		return len(t.exemplars)
	}
	return shots
}

// prefix is constant for a step kind and a run, so that servers can cache it. more is said between instructions and
// exemplars.
func (t *template) prefix(shots int, more string) string {
	var b strings.Builder
	b.WriteString(t.header + more)
	for i, e := range t.exemplars[:t.count(shots)] {
		b.WriteString(banner(i+1) + e.state + "\n" + e.output + "\n\n")
	}
	return b.String()
}

// banner opens the live question as one more example.
func (t *template) banner(shots int) string { return banner(t.count(shots) + 1) }

func banner(n int) string {
	line := strings.Repeat("#", 25)
	return fmt.Sprintf("%s\n# Example %d:\n%s\n", line, n, line)
}

// templates are read once. They are part of the program: what is wrong with them is found by a test, and here.
var templates = sync.OnceValue(func() map[pb.StepKind]*template {
	all, err := readTemplates()
	if err != nil {
		panic("embedded templates: " + err.Error())
	}
	return all
})

func readTemplates() (map[pb.StepKind]*template, error) {
	all := map[pb.StepKind]*template{}
	for kind := range exemplarsOf {
		header, err := files.ReadFile("templates/" + KindName(kind) + ".py")
		if err != nil {
			return nil, err
		}
		all[kind] = &template{header: string(header)}
	}
	worked, err := files.ReadFile("templates/worked.py")
	if err != nil {
		return nil, err
	}
	for n, text := range strings.Split(string(worked), "\n#\n") {
		if err := work(all, text); err != nil {
			return nil, fmt.Errorf("worked trajectory %d: %w", n+1, err)
		}
	}
	for kind, want := range exemplarsOf {
		if have := len(all[kind].exemplars); have < want {
			return nil, fmt.Errorf("%d exemplars of %s, want %d", have, KindName(kind), want)
		}
		all[kind].exemplars = all[kind].exemplars[:want]
	}
	return all, nil
}

// work plays a worked trajectory through the state machine and keeps each step as an exemplar. Its first paragraph is
// Question(text=, searches=), the others are results or outputs.
func work(all map[pb.StepKind]*template, text string) error {
	paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
	v, err := ParseValue(paragraphs[0])
	if err != nil {
		return err
	}
	question, ok := v.(*Call)
	if !ok || question.Name != "Question" {
		return fmt.Errorf("want Question(text=..., searches=...) first")
	}
	asked, _ := question.Get("text").(string)
	searches, _ := question.Get("searches").(int64)
	s := NewState(asked, &pb.Limits{Searches: int32(searches), Results: DefaultResults})
	for i, paragraph := range paragraphs[1:] {
		if err := workStep(all, s, i, paragraph); err != nil {
			return fmt.Errorf("%q, paragraph %d: %w", asked, i+2, err)
		}
	}
	if _, going := s.Next(); going {
		return fmt.Errorf("%q ends before the last check", asked)
	}
	return nil
}

func workStep(all map[pb.StepKind]*template, s *State, index int, paragraph string) error {
	if strings.HasPrefix(paragraph, "SearchResult(") {
		results, err := readResults(paragraph)
		if err != nil {
			return err
		}
		s.present(results)
		return nil
	}
	kind, _ := s.Next()
	state := s.render(kind) + s.questionLine()
	output := paragraph + "  " + Stop
	step := &pb.Step{Index: int32(index), Kind: kind, Results: s.results, Candidates: []*pb.Candidate{{Text: output}}}
	if err := s.Apply(step); err != nil {
		return err
	}
	all[kind].exemplars = append(all[kind].exemplars, exemplar{state: state, output: output})
	return nil
}

func readResults(text string) ([]*pb.SearchResult, error) {
	v, err := ParseValue(text)
	if err != nil {
		return nil, err
	}
	links, _ := v.(*Call).Get("links").([]Value)
	var results []*pb.SearchResult
	for _, link := range links {
		c, ok := link.(*Call)
		if !ok {
			return nil, fmt.Errorf("want ResultItem(...), have %s", Print(link))
		}
		title, err := c.text("link_text")
		if err != nil {
			return nil, err
		}
		snippet, err := c.text("snippet")
		if err != nil {
			return nil, err
		}
		results = append(results, &pb.SearchResult{Title: title, Snippet: snippet})
	}
	return results, nil
}
