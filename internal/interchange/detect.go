package interchange

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
)

// formOfKey tells a form by a key of its first line. Those of preference and atropos files are not among them: nothing reads
// them.
var formOfKey = map[string]Form{
	"trajectory": Trajectories, "completion": PromptCompletion, "segments": InputOutput, "traces": Verifiers, "task": Verifiers,
	"messages": Messages, "chosen": Preference, "scores": Atropos,
}

// detectIn is how much of a file is looked at to tell its form.
const detectIn = 1 << 20

// NewDetector is a reader of a file whose form Detect can tell.
func NewDetector(file interface{ Read([]byte) (int, error) }) *bufio.Reader {
	return bufio.NewReaderSize(file, detectIn)
}

// Detect tells the form of a file by its content. Nothing is taken from in.
func Detect(file string, in *bufio.Reader) (Form, error) {
	head, _ := in.Peek(detectIn) // what there is, if it is less
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	form := Form("")
	switch {
	case len(head) == 0:
		return "", &Error{Place: file, Problem: "the file is empty", Expected: "trajectories or examples"}
	case label.Match(head):
		return ReAct, nil
	case head[0] == '{':
		form = formOfObject(head)
	}
	switch {
	case form == "":
		return "", &Error{
			Place: file, Problem: fmt.Sprintf("nothing that is known begins with %s", shorten(string(head[:min(len(head), 40)]))),
			Expected: "JSON lines of trajectories, episodes or examples, or ReAct's text; name the form with --from",
		}
	case form.OfFeedback():
		return "", &Error{Place: file, Problem: fmt.Sprintf("this is the form %s, which does not carry enough to be read", form), Expected: "trajectories or examples"}
	}
	return form, nil
}

// formOfObject looks at the keys of the object that head begins with, as far as head goes.
func formOfObject(head []byte) Form {
	dec := json.NewDecoder(bytes.NewReader(head))
	if _, err := dec.Token(); err != nil {
		return ""
	}
	form := Form("")
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			break
		}
		name, ok := key.(string)
		if known := formOfKey[name]; ok && (form == "" || known.OfFeedback()) && known != "" {
			form = known
		}
		var skip json.RawMessage
		if dec.Decode(&skip) != nil {
			break
		}
	}
	return form
}
