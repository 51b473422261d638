package interchange

import (
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Example is one training example: a line of a mixture's part. Trainers need prompt and completion; the rest says where it
// came from.
type Example struct {
	Prompt     string `json:"prompt"`
	Completion string `json:"completion"`
	Origin
}

// Origin says of which step a line tells.
type Origin struct {
	// ID is the trajectory's identity, six tokens joined by dots.
	ID   string `json:"id"`
	Step int32  `json:"step"`
	Kind string `json:"kind"`
}

// OriginOf is a step's origin.
func OriginOf(t *pb.Trajectory, step *pb.Step) Origin {
	return Origin{ID: bus.IDTokens(t.GetIdentity()), Step: step.GetIndex(), Kind: agent.KindName(step.GetKind())}
}

// Completion is a candidate's text up to and including the stop marker, which it gets if the server cut it off.
func Completion(text string) string {
	before, _, _ := strings.Cut(text, agent.Stop)
	return strings.TrimRight(before, " \t\r\n") + "  " + agent.Stop
}

// message of a chat: the roles and their order are those of OpenAI's chat completions.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func chat(prompt, completion string) []message {
	return []message{{"user", prompt}, {"assistant", completion}}
}

// messagesLine is an example as a chat (trl: docs/source/dataset_formats.md, conversational language modeling; the same
// for OpenAI's fine-tuning): the policy's prompt is the user's one message, as a chat endpoint is asked.
type messagesLine struct {
	Messages []message `json:"messages"`
	Origin
}

// segmentsLine is an example in Axolotl's input_output (axolotl: docs/dataset-formats/template_free.qmd): what has label
// false is masked. Axolotl adds no token that ends the text.
type segmentsLine struct {
	Segments []segment `json:"segments"`
	Origin
}

type segment struct {
	Label bool   `json:"label"`
	Text  string `json:"text"`
}

// lineOf is an example in a form made of examples.
func lineOf(form Form, x Example) any {
	switch form {
	case Messages:
		return messagesLine{chat(x.Prompt, x.Completion), x.Origin}
	case InputOutput:
		return segmentsLine{[]segment{{false, x.Prompt}, {true, x.Completion}}, x.Origin}
	}
	return x
}

// ReadExamples reads a file of a form made of examples. Names of the file's lines are for messages only.
func ReadExamples(form Form, file string, r io.Reader) iter.Seq2[Example, error] {
	switch form {
	case Messages:
		return jsonLines(file, r, readMessages)
	case InputOutput:
		return jsonLines(file, r, readSegments)
	}
	return jsonLines(file, r, readPromptCompletion)
}

func readPromptCompletion(l line) (Example, error) {
	const expected = "an object with prompt and completion, both texts"
	var x Example
	if err := l.decode(&x, expected); err != nil {
		return x, err
	}
	return x, l.complete(x, expected)
}

func readMessages(l line) (x Example, err error) {
	const expected = `{"messages": [{"role": "user", "content": TEXT}, {"role": "assistant", "content": TEXT}]}`
	var row messagesLine
	if err := l.decode(&row, expected); err != nil {
		return x, err
	}
	if len(row.Messages) != 2 || row.Messages[0].Role != "user" || row.Messages[1].Role != "assistant" {
		return x, l.wrong(expected, "the messages are of %s; an example is one prompt and one completion", roles(row.Messages))
	}
	x = Example{row.Messages[0].Content, row.Messages[1].Content, row.Origin}
	return x, l.complete(x, expected)
}

func roles(all []message) string {
	const few = 6
	var names []string
	for _, m := range all[:min(len(all), few)] {
		names = append(names, shorten(m.Role))
	}
	if len(all) > few {
		names = append(names, fmt.Sprintf("%d more", len(all)-few))
	}
	if names == nil {
		return "nobody"
	}
	return strings.Join(names, ", ")
}

func readSegments(l line) (x Example, err error) {
	const expected = `{"segments": [{"label": false, "text": TEXT}, {"label": true, "text": TEXT}]}`
	var row segmentsLine
	if err := l.decode(&row, expected); err != nil {
		return x, err
	}
	if len(row.Segments) != 2 || row.Segments[0].Label || !row.Segments[1].Label {
		return x, l.wrong(expected, "%d segments, of which not the first is masked and the second trained on", len(row.Segments))
	}
	x = Example{row.Segments[0].Text, row.Segments[1].Text, row.Origin}
	return x, l.complete(x, expected)
}

// complete checks that an example has both its texts.
func (l line) complete(x Example, expected string) error {
	for name, text := range map[string]string{"prompt": x.Prompt, "completion": x.Completion} {
		if text == "" {
			return l.wrong(expected, "there is no %s", name)
		}
	}
	return nil
}

// examples are a trajectory's: one for each step that was sampled, its target the ranker's first choice, else the
// candidate that continued, as in the strategy rest-react. Other strategies, decontamination and several trajectories of
// a question are the mixture's affair: this is for trajectories that come from elsewhere.
func (e *Encoder) examples(r *Record) error {
	feedback, err := e.options.feedback(r)
	if err != nil {
		return err
	}
	t := r.Trajectory
	return e.eachStep(t, func(step asked) error {
		if step.GetSelectedBy() == Inferred {
			e.tally.leave(leftInferred, 1)
			return nil
		}
		target := step.GetCandidates()[step.GetChosen()].GetText()
		if order := ranked(step.Step, ranking(feedback, step.GetIndex())); len(order) > 0 {
			target = order[0]
		}
		return e.line(lineOf(e.form, Example{step.prompt, Completion(target), OriginOf(t, step.Step)}))
	})
}
