package evaluate

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/judge"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const (
	saysTrue  = "# it does\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = True  # [END]"
	saysFalse = "# it does not\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = False  # [END]"
	garbage   = "I would rather not say."
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	const unparsable = pb.FailureClass_FAILURE_CLASS_UNPARSABLE
	for _, c := range []struct {
		name          string
		of            *pb.Trajectory
		judge         []string
		calls         int
		draft, answer bool
		failure       pb.FailureClass
		reason        string
	}{
		{name: "one call for one text", of: trajectory(1, 0, 0, "same", "same"), judge: []string{saysTrue}, calls: 1, draft: true, answer: true},
		{name: "draft and answer apart", of: trajectory(1, 0, 0, "draft", "answer"), judge: []string{saysTrue, saysFalse}, calls: 2, answer: true},
		{
			name: "a failed trajectory is wrong, without a call", of: failed(trajectory(1, 0, 0, "", ""), unparsable),
			judge: []string{saysTrue}, calls: 0, reason: "wrong: the trajectory failed (unparsable)",
		},
		{
			name: "a deadline is the policy's own", of: failed(trajectory(1, 0, 0, "", ""), pb.FailureClass_FAILURE_CLASS_DEADLINE),
			judge: []string{saysTrue}, calls: 0, reason: "(deadline)",
		},
		{name: "garbage, then a verdict", of: trajectory(1, 0, 0, "same", "same"), judge: []string{garbage, saysTrue}, calls: 2, draft: true, answer: true},
		{
			name: "garbage twice is wrong", of: trajectory(1, 0, 0, "same", "same"), judge: []string{garbage, garbage, saysTrue}, calls: 2,
			failure: unparsable, reason: "judge unreadable",
		},
		{
			name: "a judge that cannot stop is unreadable", of: trajectory(1, 0, 0, "same", "same"), judge: []string{strings.Repeat("x", 9<<20)}, calls: 2,
			failure: unparsable, reason: "judge unreadable",
		},
		{
			name: "an unreadable draft keeps the answer", of: trajectory(1, 0, 0, "draft", "answer"), judge: []string{saysTrue, garbage}, calls: 3,
			answer: true, failure: unparsable, reason: "judge unreadable",
		},
		{
			name: "an answer too long for the judge is wrong", of: trajectory(1, 0, 0, "same", "same"), judge: []string{"overflow"}, calls: 1,
			failure: pb.FailureClass_FAILURE_CLASS_CONTEXT_OVERFLOW, reason: "does not fit the judge's context",
		},
		{name: "too many requests are tried again", of: trajectory(1, 0, 0, "same", "same"), judge: []string{"429", saysTrue}, calls: 2, draft: true, answer: true},
		{name: "a server error is tried again", of: trajectory(1, 0, 0, "same", "same"), judge: []string{"500", saysTrue}, calls: 2, draft: true, answer: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.judge.says(c.judge...)
			if err := b.give(c.of); err != nil {
				t.Fatal(err)
			}
			v := b.verdictOn(c.of)
			if v.GetDraftRight() != c.draft || v.GetAnswerRight() != c.answer || v.GetFailure() != c.failure || !strings.Contains(v.GetReason(), c.reason) {
				t.Errorf("got %v; want draft %v, answer %v, %v, reason with %q", v, c.draft, c.answer, c.failure, c.reason)
			}
			if b.judge.called() != c.calls {
				t.Errorf("the judge was called %d times, want %d", b.judge.called(), c.calls)
			}
		})
	}
}

func TestRulesStandBesideTheJudge(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.judge.says(saysFalse)
	of := trajectory(1, 1, 0, "same", "The other-name-001.")
	if err := b.give(of); err != nil {
		t.Fatal(err)
	}
	v := b.verdictOn(of)
	if !v.GetExactMatch() || !v.GetContains() || v.GetF1() != 1 || v.GetAnswerRight() {
		t.Errorf("got %v: want exact match, contained and F1 of 1, whatever the judge says", v)
	}
	if v.GetPrompt() != judge.VerdictVersion || v.GetModel() != "scripted" || v.GetUsage().GetCalls() != 2 {
		t.Errorf("got prompt %q, model %q, usage %v", v.GetPrompt(), v.GetModel(), v.GetUsage())
	}
	if u := v.GetUsage(); u.GetCostNano() == 0 || u.GetCostNano() != 1000*(u.GetPromptTokens()+2*u.GetCompletionTokens()) {
		t.Errorf("usage %v at 1 and 2 for a million tokens", u)
	}
}

func TestSeveralGoldAnswersAreOneReference(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	shown := make(chan string, 1)
	b.judge.script = func(_ int, prompt string) (int, string) { shown <- prompt; return http.StatusOK, saysTrue }
	if err := b.give(trajectory(1, 1, 0, "same", "same")); err != nil {
		t.Fatal(err)
	}
	if prompt := <-shown; !strings.Contains(prompt, "gold-001 or other-name-001") {
		t.Errorf("the prompt does not name both answers:\n%s", prompt)
	}
}

func TestInfrastructureIsNeverAVerdict(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.judge.says("500")
	of := trajectory(1, 0, 0, "same", "same")
	if err := b.give(of); err == nil || bus.IsPermanent(err) {
		t.Errorf("got %v, want an error that is retried", err)
	}
	lost := failed(trajectory(1, 0, 1, "", ""), pb.FailureClass_FAILURE_CLASS_ENDPOINT)
	if err := b.give(lost); !bus.IsPermanent(err) {
		t.Errorf("got %v, want a dead letter", err)
	}
	for _, of := range []*pb.Trajectory{of, lost} {
		if v := b.verdictOn(of); v != nil {
			t.Errorf("%v got the verdict %v", of.GetIdentity(), v)
		}
	}
}

func TestARedeliveredTrajectoryIsNotJudgedTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.judge.says(saysTrue, saysFalse)
	of := trajectory(1, 0, 0, "same", "same")
	for range 2 {
		if err := b.give(of); err != nil {
			t.Fatal(err)
		}
	}
	if b.judge.called() != 1 || !b.verdictOn(of).GetAnswerRight() {
		t.Errorf("called %d times, verdict %v; want one call, and its verdict", b.judge.called(), b.verdictOn(of))
	}
}

func TestAnotherJudgesRunIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.spec.Evaluation.Judge = "strict"
	of := trajectory(1, 0, 0, "same", "same")
	if err := b.give(of); err != nil {
		t.Fatal(err)
	}
	if b.judge.called() != 0 || b.verdictOn(of) != nil {
		t.Error("judged a run that names another judge")
	}
}

func TestAQuestionWithoutGoldIsADeadLetter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.give(trajectory(1, questions, 0, "same", "same")); !bus.IsPermanent(err) {
		t.Errorf("got %v, want a permanent error", err)
	}
	if err := b.judging.handle(t.Context(), nil, &pb.Event{}); !bus.IsPermanent(err) {
		t.Errorf("an event without a trajectory: got %v, want a permanent error", err)
	}
}

// TestErrorsShowNoGold: a server that quotes the prompt it refuses must not carry gold to the log and DEAD.
func TestErrorsShowNoGold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.judge.script = func(_ int, prompt string) (int, string) {
		return http.StatusBadRequest, "cannot read: " + prompt[strings.LastIndex(prompt, "gold-"):]
	}
	err := b.give(trajectory(1, 3, 0, "same", "same"))
	if err == nil || strings.Contains(err.Error(), goldAnswer(3)) {
		t.Errorf("got %v, want an error without the gold answer", err)
	}
	if n := countOf(t, b.conn, bus.Verdicts); n != 0 {
		t.Errorf("%d verdicts, want none", n)
	}
}
