package interchange

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/telemetry"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Form is how trajectories or examples are written down.
type Form string

// The forms; see the package's page for what each is for.
const (
	PromptCompletion Form = "prompt-completion"
	Messages         Form = "messages"
	InputOutput      Form = "input-output"
	Preference       Form = "preference"
	Atropos          Form = "atropos"
	Verifiers        Form = "verifiers"
	ReAct            Form = "react"
	Trajectories     Form = "trajectories"
)

// OfExamples tells the forms that are made of training examples: prompt and completion, one step each.
func (f Form) OfExamples() bool { return f == PromptCompletion || f == Messages || f == InputOutput }

// OfFeedback tells the forms that are made of what a ranker said.
func (f Form) OfFeedback() bool { return f == Preference || f == Atropos }

// Encoder writes records or examples in one form. It writes whole lines, one or several at a time, and nothing else.
type Encoder struct {
	form    Form
	options Options
	out     io.Writer
	buffer  bytes.Buffer
	json    *json.Encoder
	tally   Tally
}

// NewEncoder writes to out, which buffers. JSON is written with what a terminal does not show escaped: it is the same JSON.
func NewEncoder(form Form, out io.Writer, o Options) *Encoder {
	e := &Encoder{form: form, options: o, out: out}
	e.json = json.NewEncoder(&e.buffer)
	e.json.SetEscapeHTML(false)
	return e
}

// Tally of what was written so far.
func (e *Encoder) Tally() Tally { return e.tally }

// Example writes an example. The form must be one of examples.
func (e *Encoder) Example(x Example) error {
	if !e.form.OfExamples() {
		return fmt.Errorf("%s is made of trajectories; an example is one step without its candidates", e.form)
	}
	e.tally.Records++
	return e.line(lineOf(e.form, x))
}

// Record writes a trajectory.
func (e *Encoder) Record(r *Record) error {
	e.tally.Records++
	switch e.form {
	case Trajectories:
		return e.line(ownOf(r))
	case Verifiers:
		return e.episode(r)
	}
	if r.Trajectory.GetOutcome() != pb.Outcome_OUTCOME_COMPLETED {
		e.tally.leave(leftFailed, 1)
		return nil
	}
	switch e.form {
	case ReAct:
		return e.transcript(r)
	case Preference:
		return e.ranked(r, e.pairs)
	case Atropos:
		return e.ranked(r, e.group)
	}
	return e.examples(r)
}

// line writes a value as a line of JSON.
func (e *Encoder) line(value any) error {
	e.buffer.Reset()
	if err := e.json.Encode(value); err != nil {
		return fmt.Errorf("encode a line of %s: %w", e.form, err)
	}
	e.tally.Lines++
	_, err := telemetry.JSONWriter(e.out).Write(e.buffer.Bytes())
	return err
}

// eachStep calls fn with every step of a trajectory that replays to its end, and with none of one that does not.
func (e *Encoder) eachStep(t *pb.Trajectory, fn func(asked) error) error {
	steps := slices.Collect(e.options.steps(t))
	whole := len(steps) == len(t.GetSteps()) && !slices.ContainsFunc(steps, func(s asked) bool { return !usable(s.Step, s.GetChosen()) })
	if !whole {
		e.tally.leave(leftNoReplay, 1)
		return nil
	}
	for _, step := range steps {
		if err := fn(step); err != nil {
			return err
		}
	}
	return nil
}

// Read reads a file of a form made of trajectories. The name of the file is for messages, and for the identities of
// trajectories that have none. After an *Error it goes on with the next record.
func Read(form Form, file string, r io.Reader) iter.Seq2[*Record, error] {
	switch form {
	case ReAct:
		return readTranscripts(file, r)
	case Verifiers:
		return readEpisodes(file, r)
	}
	return jsonLines(file, r, readOwn)
}
