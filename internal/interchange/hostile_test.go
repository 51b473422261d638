package interchange

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// errorsOf reads all of a text, and returns what was read and the errors.
func errorsOf(form Form, text string) (read int, all []error) {
	note := func(err error) {
		if err != nil {
			all = append(all, err)
		} else {
			read++
		}
	}
	if form.OfExamples() {
		for _, err := range ReadExamples(form, "in.txt", strings.NewReader(text)) {
			note(err)
		}
		return read, all
	}
	for _, err := range Read(form, "in.txt", strings.NewReader(text)) {
		note(err)
	}
	return read, all
}

const told = "Question: q\nThought 1: t\nAction 1: Finish[a]\n"

// TestErrors: every error names file and line, says what is wrong and what was expected; what comes after is read.
func TestErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		form Form
		text string
		want string
		read int
	}{
		"no JSON":            {PromptCompletion, "\n{oops\n{\"prompt\":\"p\",\"completion\":\"c\"}", "in.txt:2: this is no JSON: invalid character 'o'", 1},
		"two values":         {PromptCompletion, `{"prompt":"p","completion":"c"} {}`, "in.txt:1: this is no JSON: invalid character '{' after top-level value", 0},
		"wrong type":         {PromptCompletion, `{"prompt":7,"completion":"c"}`, "in.txt:1: prompt is a number\n  expected an object with prompt and completion, both texts", 0},
		"no object":          {PromptCompletion, `["a"]`, "in.txt:1: the line is an array\n  expected an object", 0},
		"missing":            {PromptCompletion, `{"prompt":"p"}`, "in.txt:1: there is no completion", 0},
		"a list as prompt":   {PromptCompletion, `{"prompt":[{"role":"user","content":"x"}],"completion":"c"}`, "in.txt:1: prompt is an array", 0},
		"more turns":         {Messages, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}`, `in.txt:1: the messages are of "user", "assistant", "user"; an example is`, 0},
		"no messages":        {Messages, `{"messages":[]}`, "in.txt:1: the messages are of nobody", 0},
		"masked wrong":       {InputOutput, `{"segments":[{"label":true,"text":"a"},{"label":true,"text":"b"}]}`, "in.txt:1: 2 segments, of which not the first is masked", 0},
		"no trajectory":      {Trajectories, `{}`, "in.txt:1: this is no trajectory of Ratchet: there is no trajectory", 0},
		"no identity":        {Trajectories, `{"trajectory":{"question":"q"}}`, "in.txt:1: this is no trajectory of Ratchet: identity", 0},
		"another type":       {Trajectories, `{"trajectory":{"steps":"many"}}`, "in.txt:1: this is no trajectory of Ratchet: trajectory: ", 0},
		"of somebody else":   {Trajectories, `{"trajectory":{"identity":{"run":"r","target":"own","question":"q-1"}},"feedback":[{"ranker":"llm"}]}`, `this is no trajectory of Ratchet: the feedback of "llm" is on `, 0},
		"no traces":          {Verifiers, `{"id":"e"}`, "in.txt:1: the episode has 0 traces\n  expected one trace, of one agent", 0},
		"a loop":             {Verifiers, `{"traces":[{"nodes":[{"parent":0,"message":{"role":"user"}}]}]}`, "in.txt:1: the trace is not that of a search agent: nodes[0].parent is 0; want one before it", 0},
		"another tool":       {Verifiers, `{"traces":[{"nodes":[{"message":{"role":"assistant","tool_calls":[{"id":"1","name":"bash","arguments":"{\"cmd\":\"ls\"}"}]}}]}]}`, `the call "bash" has no query`, 0},
		"arguments":          {Verifiers, `{"traces":[{"nodes":[{"message":{"role":"assistant","tool_calls":[{"id":"1","name":"s","arguments":"query"}]}}]}]}`, `the arguments of the call "s" are no JSON object`, 0},
		"no answer":          {Verifiers, `{"traces":[{"nodes":[{"message":{"role":"user","content":"q"}}]}]}`, "it has no question, or its last reply is no answer", 0},
		"deep JSON":          {Verifiers, strings.Repeat("[", 100_000), "in.txt:1: this is no JSON: invalid character '[' exceeded max depth", 0},
		"begins elsewhere":   {ReAct, "hello\n" + told, "in.txt:1: the text begins with \"hello\"\n  expected Question: TEXT", 0},
		"begins with action": {ReAct, "Action 1: Search[x]\n" + told, "in.txt:1: the text begins with Action", 1},
		"no question":        {ReAct, "Question:\n" + told, "in.txt:1: the question is empty", 1},
		"another tool here":  {ReAct, "Question: q\nThought 1: t\nAction 1: Lookup[x]\n" + told, "in.txt:3: the action \"Lookup\" is none of this agent's, whose only tool is the search\n  expected Search[QUERY] or Finish[ANSWER]", 1},
		"no brackets":        {ReAct, "Question: q\nThought 1: t\nAction 1: Search x\n" + told, `in.txt:3: the action is "Search x"`, 1},
		"about nothing":      {ReAct, "Question: q\nThought 1: t\nAction 1: Search[ ]\n" + told, `in.txt:3: the action "Search[ ]" is about nothing`, 1},
		"wrong number":       {ReAct, "Question: q\nThought 2: t\n" + told, "in.txt:2: Thought 2 stands here\n  expected Thought 1: TEXT", 1},
		"wrong label":        {ReAct, "Question: q\nThought 1: t\nAction 1: Search[x]\nThought 2: t\n" + told, "in.txt:4: Thought 2 stands here\n  expected Observation 1: TEXT", 1},
		"after the end":      {ReAct, told + "Thought 2: t\n\n" + told, "in.txt:4: Thought follows Finish\n  expected the next Question", 1},
		"cut off":            {ReAct, told + "Question: q\nThought 1: t", "in.txt:4: the trajectory has no answer\n  expected Finish[ANSWER] at its end", 1},
	} {
		read, all := errorsOf(c.form, c.text)
		var fault *Error
		if len(all) != 1 || !errors.As(all[0], &fault) || !strings.Contains(all[0].Error(), c.want) || read != c.read {
			t.Errorf("%s: read %d, errors %v; want %d and %q", name, read, all, c.read, c.want)
		}
	}
}

// TestTaken: what is not as we write it, but can be meant in one way only, is read.
func TestTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		form Form
		text string
	}{
		"no numbers, other case": {ReAct, "Question: q\nThought: t\nAction: search[x]\nObservation: o\nThought: t\nAction: finish[a].\n"},
		"several lines, CRLF":    {ReAct, "\ufeffQuestion: q\r\nand more\r\n\r\nThought 1: t\r\nAction 1: Search[x]\r\nObservation 1: o\r\n\r\np\r\nThought 2: t\r\nAction 2: Finish[a\r\nb]\r\n"},
		"acts without thoughts":  {ReAct, "Question: q\nAction 1: Search[x]\nObservation 1:\nAction 2: Finish[a [link_id=1]]"},
		"more fields":            {PromptCompletion, "\ufeff{\"prompt\":\"p\",\"completion\":\"c\",\"weight\":2}\r\n\r\n"},
		"a later wire":           {Trajectories, `{"trajectory":{"identity":{"run":"r","target":"own","question":"q-1"},"new_field":[1]}}`},
		"nulls": {Verifiers, `{"errors":null,"traces":[{"rewards":{"x":null},"task":{"data":{"question":["no","text"]}},"nodes":[{"parent":null,"message":{"role":"user","content":"q"}},` +
			`{"parent":0,"message":{"role":"assistant","content":"a","tool_calls":null}}]}]}`},
	} {
		if read, all := errorsOf(c.form, c.text); read != 1 || len(all) != 0 {
			t.Errorf("%s: read %d, %v", name, read, all)
		}
	}
}

// TestEdited: a trace whose messages are not those of its record is refused: nobody knows which of them is meant.
func TestEdited(t *testing.T) {
	t.Parallel()
	text, _ := encode(t, Verifiers, Options{}, seat(t))
	at := strings.Index(text, `"role":"assistant","content":"`)
	text = text[:at] + strings.Replace(text[at:], "I need", "I want", 1)
	if _, all := errorsOf(Verifiers, text); len(all) != 1 || !strings.Contains(all[0].Error(), "reply 0 of the graph is not the one in info.ratchet") {
		t.Error(all)
	}
}

// TestLongLines: a line is read to a limit, and what is over it ends the file.
func TestLongLines(t *testing.T) {
	t.Parallel()
	var read, failed int
	for l, err := range lines("f", strings.NewReader("a\n"+strings.Repeat("x", 200_000)+"\nb\n"), 100_000) {
		if err == nil {
			read++
		} else if failed++; !strings.Contains(err.Error(), "f:2: the line is too long\n  expected at most 100000 bytes") || l.text != nil {
			t.Error(err)
		}
	}
	if read != 1 || failed != 1 {
		t.Errorf("read %d, failed %d", read, failed)
	}
	endless := "Question: " + strings.Repeat("word\n", maxParagraph/2)
	if _, all := errorsOf(ReAct, endless); len(all) != 1 || !strings.Contains(all[0].Error(), "is too long") {
		t.Error(all)
	}
}

// broken fails in the middle of a line.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("the disk is gone")
	}
	return n, err
}

func TestReaderFails(t *testing.T) {
	t.Parallel()
	for _, form := range []Form{PromptCompletion, ReAct} {
		var last error
		if form.OfExamples() {
			for _, err := range ReadExamples(form, "f", broken{strings.NewReader("{\"prompt\":\"p\",\"completion\":\"c\"}\n{")}) {
				last = err
			}
		} else {
			for _, err := range Read(form, "f", broken{strings.NewReader(told + "Que")}) {
				last = err
			}
		}
		if last == nil || !strings.Contains(last.Error(), "cannot be read: the disk is gone") {
			t.Errorf("%s: %v", form, last)
		}
	}
}

// TestFlatMemory: what is held does not grow with the set.
func TestFlatMemory(t *testing.T) {
	const count = 40
	one, _ := encode(t, Trajectories, Options{}, &Record{Trajectory: &pb.Trajectory{Identity: someone, Question: strings.Repeat("long ", 40_000)}})
	in, out := io.Pipe()
	go func() {
		for range count {
			_, _ = io.WriteString(out, one)
		}
		_ = out.Close()
	}()
	e, n := NewEncoder(Verifiers, io.Discard, Options{}), 0
	var held []uint64
	for r, err := range Read(Trajectories, "f", in) {
		if err == nil {
			err = e.Record(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%(count/2) == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			held = append(held, m.HeapAlloc)
		}
	}
	if n != count || held[1] > held[0]+uint64(4*len(one)) {
		t.Errorf("%d records; %d bytes held, one is %d", n, held, len(one))
	}
}

// TestDetect: the content tells the form, whatever the order of the keys.
func TestDetect(t *testing.T) {
	t.Parallel()
	detect := func(text string) (Form, error) { return Detect("f", NewDetector(strings.NewReader(text))) }
	for _, form := range forms {
		text, err := os.ReadFile(filepath.Join("testdata", fileOf(form)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := detect(string(text))
		switch {
		case form.OfFeedback():
			if err == nil || !strings.Contains(err.Error(), "this is the form "+string(form)) {
				t.Errorf("%s: %v", form, err)
			}
		case got != form || err != nil:
			t.Errorf("%s: %s, %v", form, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "the file is empty", " \n": "the file is empty", "PK\x03\x04": "nothing that is known begins with \"PK", `{"x":1}`: "nothing that is known begins with",
		"{": "nothing", `{"prompt":"` + strings.Repeat("x", detectIn): "nothing", "[]": "nothing",
	} {
		if got, err := detect(text); err == nil || !strings.Contains(err.Error(), "f: "+want) {
			t.Errorf("%.20q: %s, %v", text, got, err)
		}
	}
	in := NewDetector(strings.NewReader(told))
	if _, err := Detect("f", in); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(bufio.NewReader(in)); err != nil || string(rest) != told {
		t.Errorf("%q, %v: something was taken", rest, err)
	}
}
