package evaluate

import (
	"fmt"
	"strings"
	"testing"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestVotes: asking ends as soon as a majority is there; a majority of what can be read counts; a tie is no verdict.
func TestVotes(t *testing.T) {
	t.Parallel()
	const unparsable, overflow = pb.FailureClass_FAILURE_CLASS_UNPARSABLE, pb.FailureClass_FAILURE_CLASS_CONTEXT_OVERFLOW
	for _, c := range []struct {
		name    string
		most    int
		judge   []string
		calls   int
		right   bool
		votes   string // right, wrong, unreadable
		failure pb.FailureClass
		reason  string
	}{
		{"two agree, the third is not asked", 3, []string{saysTrue, saysTrue, saysFalse}, 2, true, "2 0 0", 0, ""},
		{"the third decides", 3, []string{saysTrue, saysFalse, saysFalse}, 3, false, "1 2 0", 0, ""},
		{"three of five", 5, []string{saysFalse, saysTrue, saysFalse, saysTrue, saysTrue}, 5, true, "3 2 0", 0, ""},
		{"one cannot be read", 3, []string{garbage, saysTrue, saysTrue}, 3, true, "2 0 1", 0, ""},
		{"one can be read", 3, []string{garbage, saysTrue, garbage}, 3, true, "1 0 2", 0, ""},
		{"a tie of those that can be read", 3, []string{saysTrue, garbage, saysFalse}, 3, false, "1 1 1", unparsable, "wrong: judge undecided: of 3 votes 1 say right, 1 wrong, 1 cannot be read"},
		{"none can be read", 3, []string{garbage}, 3, false, "0 0 3", unparsable, "judge undecided"},
		{"no room", 3, []string{"overflow"}, 1, false, "0 0 0", overflow, "does not fit the judge's context"},
		{"1 is one answer, and a second if it cannot be read", 1, []string{garbage, saysTrue}, 2, true, "0 0 0", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.spec.Judging.Votes = c.most
			b.judge.says(c.judge...)
			of := trajectory(1, 0, 0, "same", "same")
			if err := b.give(of); err != nil {
				t.Fatal(err)
			}
			v := b.verdictOn(of)
			votes := fmt.Sprint(v.GetAnswerVotes().GetRight(), v.GetAnswerVotes().GetWrong(), v.GetAnswerVotes().GetUnreadable())
			if v.GetAnswerRight() != c.right || votes != c.votes || v.GetFailure() != c.failure || !strings.Contains(v.GetReason(), c.reason) {
				t.Errorf("got %v; want right %v, votes %s, %v, reason with %q", v, c.right, c.votes, c.failure, c.reason)
			}
			if n := b.judge.called(); n != c.calls || v.GetUsage().GetCalls() != int64(n) && c.failure != overflow {
				t.Errorf("%d calls, %v counted; want %d", n, v.GetUsage(), c.calls)
			}
			if c.failure == 0 && v.GetAnswerExplanation() != map[bool]string{true: "it does", false: "it does not"}[c.right] {
				t.Errorf("explained by %q, want a vote of the majority", v.GetAnswerExplanation())
			}
		})
	}
}

// TestVoteCannotBeHad: an endpoint's failure is no vote.
func TestVoteCannotBeHad(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.spec.Judging.Votes = 3
	b.judge.says(saysTrue, "500")
	of := trajectory(1, 0, 0, "same", "same")
	if err := b.give(of); err == nil || b.verdictOn(of) != nil {
		t.Errorf("%v, verdict %v; want an error that is retried", err, b.verdictOn(of))
	}
}
