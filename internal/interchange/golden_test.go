package interchange

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/ratchet-rl/ratchet/internal/agent"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

var forms = []Form{PromptCompletion, Messages, InputOutput, Preference, Atropos, Verifiers, ReAct, Trajectories}

// encode writes records in a form.
func encode(t interface{ Fatal(...any) }, form Form, o Options, all ...*Record) (string, Tally) {
	var b bytes.Buffer
	e := NewEncoder(form, &b, o)
	for _, r := range all {
		if err := e.Record(r); err != nil {
			t.Fatal(err)
		}
	}
	return b.String(), e.Tally()
}

// read reads all records of a text; no error is expected.
func read(t interface{ Fatal(...any) }, form Form, text string) []*Record {
	var all []*Record
	for r, err := range Read(form, "file.txt", strings.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// golden compares a text with a file; RATCHET_UPDATE=1 rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("RATCHET_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func fileOf(form Form) string {
	if form == ReAct {
		return "react.txt"
	}
	return string(form) + ".jsonl"
}

// TestForms: a completed and a failed trajectory in every form, to be looked at. What each form has no place for is counted.
func TestForms(t *testing.T) {
	t.Parallel()
	left := map[Form]map[string]int64{}
	for _, form := range forms {
		text, tally := encode(t, form, Options{}, seat(t), failed(t))
		golden(t, fileOf(form), text)
		left[form] = tally.LeftOut
	}
	for _, form := range forms {
		want := map[string]int64{leftFailed: 1}
		if form == Trajectories || form == Verifiers {
			want = nil
		}
		if diff := cmp.Diff(want, left[form]); diff != "" {
			t.Errorf("%s: left out (-want +got):\n%s", form, diff)
		}
	}
}

// TestReadBack: the golden files are read as what they were made of.
func TestReadBack(t *testing.T) {
	t.Parallel()
	want := []*Record{seat(t), failed(t)}
	for _, form := range []Form{Trajectories, Verifiers} {
		text, err := os.ReadFile(filepath.Join("testdata", fileOf(form)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, read(t, form, string(text)), protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form, diff)
		}
	}
	for _, from := range []Form{PromptCompletion, Messages, InputOutput} {
		for _, to := range []Form{PromptCompletion, Messages, InputOutput} {
			text, err := os.ReadFile(filepath.Join("testdata", fileOf(from)))
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			e := NewEncoder(to, &b, Options{})
			for x, err := range ReadExamples(from, "file.jsonl", bytes.NewReader(text)) {
				if err != nil {
					t.Fatal(err)
				}
				if err := e.Example(x); err != nil {
					t.Fatal(err)
				}
			}
			golden(t, fileOf(to), b.String())
		}
	}
}

// TestReActBack: what ReAct's text tells comes back as a trajectory that replays, and is told the same way again. What it
// does not tell is inferred, and never an example.
func TestReActBack(t *testing.T) {
	t.Parallel()
	text, _ := encode(t, ReAct, Options{}, seat(t))
	records := read(t, ReAct, text)
	if len(records) != 1 {
		t.Fatalf("%d trajectories", len(records))
	}
	got := records[0].Trajectory
	if err := agent.Verify(got); err != nil {
		t.Error(err)
	}
	again, _ := encode(t, ReAct, Options{}, records...)
	if diff := cmp.Diff(text, again); diff != "" {
		t.Error(diff)
	}
	var kinds []string
	for x, err := range ReadExamples(PromptCompletion, "x", strings.NewReader(first(encode(t, PromptCompletion, Options{}, records...)))) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, x.Kind)
	}
	if diff := cmp.Diff([]string{"decision", "decision", "answer"}, kinds); diff != "" {
		t.Error(diff)
	}
	want := seat(t).Trajectory
	if !proto.Equal(want.GetSteps()[1].GetResults()[1], got.GetSteps()[1].GetResults()[1]) || got.GetAnswer() != want.GetAnswer() {
		t.Errorf("got %v, want %v", got, want)
	}
}

func first(text string, _ Tally) string { return text }

// TestStrangersTrace: a trace that verifiers 0.4.0 itself wrote, of an agent that searches by calling a tool.
func TestStrangersTrace(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "stranger.traces.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	records := read(t, Verifiers, string(text))
	golden(t, "stranger.react.txt", first(encode(t, ReAct, Options{}, records...)))
	if err := agent.Verify(records[0].Trajectory); err != nil {
		t.Error(err)
	}
}

// TestPairs counts the pairs of a ranking of four, of which two say the same.
func TestPairs(t *testing.T) {
	t.Parallel()
	say := func(i int, what string) string { return strings.Repeat("x", max(i, 1)) + what }
	tr := play(t, "Who?", &player{say: say, candidates: 4}, nil)
	tr.Steps[0].Candidates[2].ParseError = "cut"
	r := &Record{Trajectory: tr, Feedback: []*pb.Feedback{rank(tr, 3, 2, 0, 1, 9)}}
	r.Feedback[0].Steps[1].RankedBy = pb.RankedBy_RANKED_BY_FALLBACK
	r.Feedback[0].Steps = r.Feedback[0].GetSteps()[:3] // the last step is not ranked
	for pairs, want := range map[Pairs]int64{BestWorst: 2, Adjacent: 1 + 3, AllPairs: 1 + 6} {
		_, tally := encode(t, Preference, Options{Pairs: pairs}, r)
		if tally.Lines != want || tally.LeftOut[leftFallback] != 1 || tally.LeftOut[leftUnranked] != 1 {
			t.Errorf("%s: %+v, want %d lines", pairs, tally, want)
		}
	}
	text, _ := encode(t, Atropos, Options{}, r)
	if !strings.Contains(text, `"scores":[1,-1]`) || !strings.Contains(text, `"scores":[1,0.33333333333333337,-0.33333333333333326,-1]`) {
		t.Error(text)
	}
}

// TestWhoseWord: where several rankers have spoken, somebody must say whose word counts.
func TestWhoseWord(t *testing.T) {
	t.Parallel()
	r := seat(t)
	other := rank(r.Trajectory, 1, 0)
	other.Ranker = "human"
	r.Feedback = append(r.Feedback, other)
	for _, form := range []Form{Preference, Atropos, PromptCompletion, Verifiers} {
		if err := NewEncoder(form, &bytes.Buffer{}, Options{}).Record(r); err == nil || !strings.Contains(err.Error(), `several have spoken: ["human" "llm"]; say with --ranker`) {
			t.Errorf("%s: %v", form, err)
		}
	}
	llm, _ := encode(t, Preference, Options{Ranker: "llm"}, r)
	human, _ := encode(t, Preference, Options{Ranker: "human"}, r)
	if llm == human || strings.Count(llm, "\n") != strings.Count(human, "\n") {
		t.Error("the ranker makes no difference")
	}
	if _, tally := encode(t, Preference, Options{Ranker: "nobody"}, r); tally.Lines != 0 || tally.LeftOut[leftUnranked] != 6 {
		t.Errorf("%+v", tally)
	}
}

// TestNoReplay: a trajectory whose steps do not follow from each other gives nothing.
func TestNoReplay(t *testing.T) {
	t.Parallel()
	for _, form := range []Form{PromptCompletion, Preference, Atropos, ReAct} {
		r := seat(t)
		r.Trajectory.Steps[2].Kind = pb.StepKind_STEP_KIND_ANSWER
		if text, tally := encode(t, form, Options{}, r); text != "" || tally.LeftOut[leftNoReplay] != 1 {
			t.Errorf("%s: %q, %+v", form, text, tally)
		}
		r = seat(t)
		r.Trajectory.Steps = r.Trajectory.GetSteps()[:5]
		r.Trajectory.Steps[4].Chosen = 7
		if text, tally := encode(t, form, Options{}, r); text != "" || tally.LeftOut[leftNoReplay] != 1 {
			t.Errorf("%s, chosen out of range: %q, %+v", form, text, tally)
		}
	}
}

// TestObservations: several results stand behind their link ids, which grow by one; every other text is one result.
func TestObservations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "plain": 1, "[link_id=4] A: b": 1, "[link_id=4] A: b [link_id=5] C: d: e": 2, "[link_id=4] A: b [link_id=6] C: d": 1,
		"[link_id=5] A: b": 1, "x [link_id=4] A: b": 1, "[link_id=4] A b": 1,
	} {
		results := readObservation(text, 4)
		if len(results) != want || observation(results) != text {
			t.Errorf("%q: %v", text, results)
		}
		for i, r := range results {
			if r.GetLinkId() != int32(4+i) {
				t.Errorf("%q: %v", text, results)
			}
		}
	}
	four := "Question: q\nThought 1: t\nAction 1: Search[x]\nObservation 1: [link_id=1] A: b [link_id=2] A: b [link_id=3] A: b [link_id=4] A: b\nThought 2: [link_id=3]\nAction 2: Finish[a]\n"
	tr := read(t, ReAct, four)[0].Trajectory
	if tr.GetLimits().GetResults() != 4 || !strings.Contains(tr.GetSteps()[1].GetCandidates()[0].GetText(), "selected_link_ids=[3])") {
		t.Errorf("%v", tr)
	}
}
