package interchange

import (
	"fmt"
	"io"
	"iter"
	"regexp"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/telemetry"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// ReAct's text (Yao et al. 2022, figure 1 and appendix C; ysymyth/ReAct: prompts/prompts_naive.json, hotpotqa.ipynb):
//
//	Question: Which city is the seat of Wone Works?
//	Thought 1: I need to find Wone Works.
//	Action 1: Search[Wone Works]
//	Observation 1: [link_id=1] Wone Works: Wone Works is a company of Dally.
//	Thought 2: Its seat is Dally.
//	Action 2: Finish[Dally]
//
// One empty line stands between trajectories. Ours put several results into an observation, each behind its link id; an
// observation of another form is one result without a title.

// transcript writes a trajectory as ReAct's text.
func (e *Encoder) transcript(r *Record) error {
	x, ok := transcriptOf(r.Trajectory)
	if !ok {
		e.tally.leave(leftNoReplay, 1)
		return nil
	}
	text := x.react()
	if e.tally.Lines > 0 {
		text = "\n" + text
	}
	e.tally.Lines++
	_, err := io.WriteString(e.out, text)
	return err
}

func (x transcript) react() string {
	var b strings.Builder
	put := func(label string, n int, text string) {
		if n > 0 {
			label += " " + strconv.Itoa(n)
		}
		b.WriteString(strings.TrimRight(label+": "+text, " ") + "\n")
	}
	put("Question", 0, oneLine(x.question))
	for i, turn := range x.turns {
		put("Thought", i+1, oneLine(turn.thought))
		put("Action", i+1, "Search["+oneLine(turn.query)+"]")
		put("Observation", i+1, observation(turn.results))
	}
	put("Thought", len(x.turns)+1, oneLine(x.thought))
	put("Action", len(x.turns)+1, "Finish["+oneLine(x.answer)+"]")
	return b.String()
}

// oneLine is a text as it can stand behind a label: blanks are one space, and what a terminal would obey is visible.
func oneLine(text string) string { return telemetry.Visible(strings.Join(strings.Fields(text), " ")) }

// observation is what a search found: a lone result without a title as it is, any other behind its link id and title.
func observation(results []*pb.SearchResult) string {
	var all []string
	for _, r := range results {
		title := oneLine(r.GetTitle())
		if title == "" && len(results) == 1 {
			return oneLine(r.GetSnippet())
		}
		if title != "" {
			title += ": "
		}
		all = append(all, fmt.Sprintf("[link_id=%d] %s%s", r.GetLinkId(), title, r.GetSnippet()))
	}
	return oneLine(strings.Join(all, " "))
}

var link = regexp.MustCompile(`(?:^| )\[link_id=([0-9]{1,9})\] ([^:\[\]]+): `)

// readObservation is what an observation shows. next is the link id of its first result.
func readObservation(text string, next int32) []*pb.SearchResult {
	if text == "" {
		return nil
	}
	found := link.FindAllStringSubmatchIndex(text, -1)
	var results []*pb.SearchResult
	for i, at := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		id, _ := strconv.Atoi(text[at[2]:at[3]])
		if int32(id) != next+int32(i) || found[0][0] != 0 {
			results = nil
			break
		}
		results = append(results, &pb.SearchResult{LinkId: int32(id), Title: text[at[4]:at[5]], Snippet: text[at[1]:end]})
	}
	if results == nil {
		results = []*pb.SearchResult{{LinkId: next, Snippet: text}}
	}
	return results
}

// paragraph is a labelled text of a file of ReAct's, with the lines that follow it.
type paragraph struct {
	line
	label  string
	number int // 0: none was given
	text   string
}

var label = regexp.MustCompile(`^(Question|Thought|Action|Observation)(?: ([0-9]{1,9}))?:(?: |$)`)

// paragraphs yields the paragraphs of a file. Lines without a label belong to the one before.
func paragraphs(file string, r io.Reader) iter.Seq2[paragraph, error] {
	return func(yield func(paragraph, error) bool) {
		var p paragraph
		var body []byte // of p, while lines may follow: appending to a string would copy it for each
		for l, err := range lines(file, r, maxParagraph) {
			if err != nil {
				yield(p, err)
				return
			}
			text := strings.TrimSpace(strings.ToValidUTF8(string(l.text), "\uFFFD"))
			at := label.FindStringSubmatch(text)
			switch {
			case at != nil:
				if p.text = string(body); p.label != "" && !yield(p, nil) {
					return
				}
				number, _ := strconv.Atoi(at[2])
				p = paragraph{line: line{file: file, number: l.number}, label: at[1], number: number}
				body = append(body[:0], strings.TrimSpace(text[len(at[0]):])...)
			case text == "":
			case p.label == "":
				yield(p, l.wrong("Question: TEXT", "the text begins with %s", shorten(text)))
				return
			case len(body)+len(text) > maxParagraph:
				yield(p, p.wrong(fmt.Sprintf("at most %d bytes", maxParagraph), "%s %d is too long", p.label, p.number))
				return
			default:
				body = append(append(body, ' '), text...)
			}
		}
		if p.text = string(body); p.label != "" {
			yield(p, nil)
		}
	}
}

// maxParagraph is the longest text behind a label, in bytes.
const maxParagraph = 1 << 20

// maxTurns is the most searches of a trajectory that are read.
const maxTurns = 1000

// readTranscripts reads a file of ReAct's text. A trajectory that is not told well is an error; the next begins with the
// next question.
func readTranscripts(file string, r io.Reader) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		reader := transcriptReader{file: file}
		for p, err := range paragraphs(file, r) {
			if err != nil {
				yield(nil, err)
				return
			}
			if p.label == "Question" && reader.begun {
				if record, err := reader.end(); !yield(record, err) {
					return
				}
			}
			reader.take(p)
		}
		if reader.begun {
			yield(reader.end())
		}
	}
}

// transcriptReader puts the paragraphs of one trajectory together.
type transcriptReader struct {
	file     string
	n        int // trajectories before this one
	begun    bool
	question paragraph
	x        transcript
	thought  string // of the action to come
	next     int32  // link id
	expect   string // the label to come; empty after the end
	err      error  // the first
}

// take adds a paragraph.
func (r *transcriptReader) take(p paragraph) {
	if p.label == "Question" {
		*r = transcriptReader{file: r.file, n: r.n, begun: true, question: p, x: transcript{question: p.text}, next: 1, expect: "Thought"}
		if p.text == "" {
			r.err = p.wrong("Question: TEXT", "the question is empty")
		}
		return
	}
	if !r.begun {
		r.begun, r.question, r.err = true, p, p.wrong("Question: TEXT", "the text begins with %s", p.label)
	}
	if r.err == nil {
		r.err = r.add(p)
	}
}

func (r *transcriptReader) add(p paragraph) error {
	n := len(r.x.turns) + 1
	if r.expect == "Observation" {
		n--
	}
	acts := p.label == "Action" && r.expect == "Thought" // ReAct's act-only baseline
	switch {
	case r.expect == "":
		return p.wrong("the next Question", "%s follows Finish", p.label)
	case p.label != r.expect && !acts, p.number != 0 && p.number != n:
		return p.wrong(fmt.Sprintf("%s %d: TEXT", r.expect, n), "%s", strings.TrimSpace(fmt.Sprintf("%s %s stands here", p.label, numberText(p.number))))
	case n > maxTurns:
		return p.wrong(fmt.Sprintf("at most %d searches", maxTurns), "the trajectory does not end")
	}
	switch p.label {
	case "Thought":
		r.thought, r.expect = p.text, "Action"
	case "Action":
		return r.act(p)
	case "Observation":
		last := &r.x.turns[len(r.x.turns)-1]
		last.results = readObservation(p.text, r.next)
		r.next += int32(len(last.results))
		r.expect = "Thought"
	}
	return nil
}

func numberText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// act reads Search[query] or Finish[answer].
func (r *transcriptReader) act(p paragraph) error {
	const expected = "Search[QUERY] or Finish[ANSWER]"
	name, argument, ok := strings.Cut(strings.TrimRight(p.text, ". "), "[")
	argument, closed := strings.CutSuffix(argument, "]")
	argument = strings.TrimSpace(argument)
	switch known := strings.ToLower(strings.TrimSpace(name)); {
	case !ok || !closed:
		return p.wrong(expected, "the action is %s", shorten(p.text))
	case argument == "":
		return p.wrong(expected, "the action %s is about nothing", shorten(p.text))
	case known == "search":
		r.x.turns = append(r.x.turns, turn{thought: r.thought, query: argument})
		r.expect = "Observation"
	case known == "finish":
		r.x.thought, r.x.answer = r.thought, argument
		r.expect = ""
	default:
		return p.wrong(expected, "the action %s is none of this agent's, whose only tool is the search", shorten(name))
	}
	r.thought = ""
	return nil
}

// end is the trajectory that was read.
func (r *transcriptReader) end() (*Record, error) {
	r.n++
	if r.err == nil && r.expect != "" {
		r.err = r.question.wrong("Finish[ANSWER] at its end", "the trajectory has no answer")
	}
	if r.err != nil {
		return nil, r.err
	}
	return &Record{Trajectory: r.x.trajectory(identity(r.file, r.n-1))}, nil
}
