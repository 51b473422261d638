package interchange

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/ratchet-rl/ratchet/internal/agent"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// anyText is text of any kind, with what matters to the forms in it more often than by chance.
var anyText = rapid.OneOf(
	rapid.String(),
	rapid.SampledFrom([]string{
		"", " ", "\n", "Thought 1: no", "x\nAction 1: Finish[no]", "[link_id=1] A: b", "a [link_id=2] B: c", "]", "[", "# [END]", "\x1b[31m", "\u2028\u202e",
		"<b>&amp;</b>", `"}`, "Question: q", "Observation 2:", "...", "]. ", "\ufeff", strings.Repeat("long ", 40),
	}),
)

// anyRecord is a trajectory that replays, as an agent with such a model and tool would make it, with what was said of it.
func anyRecord(t *rapid.T) *Record {
	var pages []*pb.SearchResult
	for range rapid.IntRange(0, 3).Draw(t, "pages") {
		pages = append(pages, &pb.SearchResult{Title: anyText.Draw(t, "title"), Snippet: anyText.Draw(t, "snippet"), Url: anyText.Draw(t, "url")})
	}
	candidates := rapid.IntRange(1, 3).Draw(t, "candidates")
	say := func(_ int, what string) string { return anyText.Draw(t, what) }
	tr := play(t, "q"+anyText.Draw(t, "question"), &player{searches: rapid.IntRange(0, 2).Draw(t, "searches"), say: say, candidates: candidates}, pages)
	r := &Record{Trajectory: tr}
	if rapid.Bool().Draw(t, "ranked") {
		var order []int32
		for _, i := range rapid.Permutation([]int32{0, 1, 2}).Draw(t, "order") {
			if int(i) < candidates {
				order = append(order, i)
			}
		}
		r.Feedback = append(r.Feedback, rank(tr, order...))
	}
	if rapid.Bool().Draw(t, "judged") {
		r.Verdicts = append(r.Verdicts, &pb.Verdict{Identity: tr.GetIdentity(), Judge: "llm", AnswerExplanation: anyText.Draw(t, "why")})
	}
	return r
}

// TestRoundTrips: a form that holds all of a record gives it back; examples survive every form of examples.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		own, _ := encode(t, Trajectories, Options{}, r)
		for _, form := range []Form{Trajectories, Verifiers} {
			text, _ := encode(t, form, Options{}, r)
			back := read(t, form, text)
			if len(back) != 1 || !proto.Equal(back[0].Trajectory, r.Trajectory) {
				t.Fatalf("%s: got %v, want %v", form, back, r.Trajectory)
			}
			if again, _ := encode(t, Trajectories, Options{}, back...); again != own {
				t.Fatalf("%s: got %s, want %s", form, again, own)
			}
			if again, _ := encode(t, form, Options{}, r); again != text {
				t.Fatalf("%s: other bytes the second time", form)
			}
		}
		want, tally := encode(t, PromptCompletion, Options{}, r)
		if tally.Lines != int64(len(r.Trajectory.GetSteps())) {
			t.Fatalf("%d examples of %d steps: %v", tally.Lines, len(r.Trajectory.GetSteps()), tally.LeftOut)
		}
		for _, form := range []Form{Messages, InputOutput} {
			text, _ := encode(t, form, Options{}, r)
			var b strings.Builder
			e := NewEncoder(PromptCompletion, &b, Options{})
			for x, err := range ReadExamples(form, "f", strings.NewReader(text)) {
				if err != nil {
					t.Fatal(err)
				}
				if err := e.Example(x); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want, b.String()); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", form, diff)
			}
		}
	})
}

// TestReActRoundTrip: ReAct's text of any trajectory is read as one trajectory that replays, and is told again in the very
// same words; everything a step has that a terminal would obey is visible in it.
func TestReActRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		text, tally := encode(t, ReAct, Options{}, r, r)
		if tally.Lines != 2 || strings.ContainsAny(text, "\x1b\r\u202e") {
			t.Fatalf("%q: %+v", text, tally)
		}
		records := read(t, ReAct, text)
		if len(records) != 2 {
			t.Fatalf("%d trajectories in %q", len(records), text)
		}
		for _, record := range records {
			if err := agent.Verify(record.Trajectory); err != nil {
				t.Fatal(err)
			}
		}
		again, _ := encode(t, ReAct, Options{}, records...)
		if diff := cmp.Diff(text, again); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// TestPairsAreOrdered: the chosen of every pair stands before the rejected in the ranking, and they differ.
func TestPairsAreOrdered(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		for _, pairs := range []Pairs{BestWorst, Adjacent, AllPairs} {
			text, _ := encode(t, Preference, Options{Pairs: pairs}, r)
			for p, err := range jsonLines("f", strings.NewReader(text), readPair) {
				if err != nil || p.Chosen == p.Rejected {
					t.Fatalf("%+v, %v", p, err)
				}
				order := ranked(r.Trajectory.GetSteps()[p.Step], ranking(r.Feedback[0], p.Step))
				better, worse := -1, -1
				for i, text := range order {
					if text == p.Chosen {
						better = i
					}
					if text == p.Rejected {
						worse = i
					}
				}
				if better < 0 || worse <= better {
					t.Fatalf("%d before %d in %q", better, worse, order)
				}
			}
		}
	})
}

func readPair(l line) (p preferenceLine, err error) {
	err = l.decode(&p, "a pair")
	return p, err
}
