package interchange

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/agent"
)

// seed adds what the golden files hold.
func seed(f *testing.F, names ...string) {
	f.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
}

// fuzzRecords: whatever a file of trajectories holds, it is read or refused; what was read can be written in every form.
func fuzzRecords(f *testing.F, form Form) {
	f.Fuzz(func(t *testing.T, text string) {
		for r, err := range Read(form, "f", strings.NewReader(text)) {
			if err != nil {
				if !errors.As(err, new(*Error)) {
					t.Fatalf("%v is no *Error", err)
				}
				continue
			}
			if form == ReAct {
				if err := agent.Verify(r.Trajectory); err != nil {
					t.Fatal(err)
				}
			}
			for _, to := range forms {
				_ = NewEncoder(to, io.Discard, Options{}).Record(r) // of several rankers none may be named
			}
		}
	})
}

func FuzzReAct(f *testing.F) {
	seed(f, "react.txt", "stranger.react.txt")
	f.Add(told + "\n" + told)
	fuzzRecords(f, ReAct)
}

func FuzzVerifiers(f *testing.F) {
	seed(f, "verifiers.jsonl", "stranger.traces.jsonl")
	fuzzRecords(f, Verifiers)
}

func FuzzTrajectories(f *testing.F) {
	seed(f, "trajectories.jsonl")
	fuzzRecords(f, Trajectories)
}

func FuzzExamples(f *testing.F) {
	seed(f, "prompt-completion.jsonl", "messages.jsonl", "input-output.jsonl")
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range []Form{PromptCompletion, Messages, InputOutput} {
			for x, err := range ReadExamples(form, "f", strings.NewReader(text)) {
				if err == nil && (x.Prompt == "" || x.Completion == "") {
					t.Fatalf("an example without its texts: %+v", x)
				}
			}
		}
	})
}

func FuzzDetect(f *testing.F) {
	f.Add(`{"prompt":"p","completion":"c"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if form, err := Detect("f", NewDetector(strings.NewReader(text))); (err == nil) != (form != "") {
			t.Fatalf("%q, %v", form, err)
		}
	})
}
