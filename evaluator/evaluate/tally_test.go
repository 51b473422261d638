package evaluate

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func identity(question string, sample int) *pb.Identity {
	return &pb.Identity{
		Run: "r", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_EVAL, Question: question, Sample: int32(sample),
	}
}

// right makes a completed verdict.
func right(draft, answer bool) *pb.Verdict {
	return &pb.Verdict{Outcome: pb.Outcome_OUTCOME_COMPLETED, DraftRight: draft, AnswerRight: answer}
}

// TestDraftAgainstFinalTable reproduces the form of the paper's table 4: both scores from the same
// trajectories, mean and sample standard deviation over repetitions.
func TestDraftAgainstFinalTable(t *testing.T) {
	t.Parallel()
	count := newTally(goldSet{"a": nil, "b": nil}, 2)
	for _, v := range []struct {
		question      string
		sample        int
		draft, answer bool
	}{
		{"a", 0, true, true},
		{"b", 0, false, true},
		{"a", 1, true, true},
		{"b", 1, false, false},
		{"a", 2, true, true}, // beyond the repetitions so far
	} {
		if err := count.verdict(identity(v.question, v.sample), right(v.draft, v.answer)); err != nil {
			t.Fatal(err)
		}
	}
	report := count.report()
	want := &pb.Report{
		Draft:  &pb.Score{Mean: 0.5, Std: 0, ByRepetition: []float64{0.5, 0.5}},
		Answer: &pb.Score{Mean: 0.75, Std: math.Sqrt(0.125), ByRepetition: []float64{1, 0.5}},
		ByQuestion: []*pb.QuestionScore{
			{Question: "a", Repetitions: 2, DraftRight: 2, AnswerRight: 2},
			{Question: "b", Repetitions: 2, DraftRight: 0, AnswerRight: 1},
		},
	}
	got := &pb.Report{Draft: report.Draft, Answer: report.Answer, ByQuestion: report.ByQuestion}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
	if report.GetMissing() != 0 {
		t.Errorf("missing %d, want 0", report.GetMissing())
	}
}

func TestReportCountsWhatIsMissingAndWhatFailed(t *testing.T) {
	t.Parallel()
	count := newTally(goldSet{"a": nil, "b": nil}, 3)
	count.trajectory(identity("a", 0), "", &pb.Usage{Calls: 9, PromptTokens: 90, CompletionTokens: 18, Searches: 2})
	count.trajectory(identity("b", 0), "unparsable", &pb.Usage{Calls: 3})
	count.trajectory(identity("b", 7), "deadline", &pb.Usage{Calls: 100})
	unreadable := &pb.Verdict{
		Outcome: pb.Outcome_OUTCOME_FAILED, Failure: pb.FailureClass_FAILURE_CLASS_UNPARSABLE, Usage: &pb.Usage{Calls: 2},
	}
	for id, v := range map[*pb.Identity]*pb.Verdict{identity("a", 0): right(true, true), identity("b", 0): unreadable} {
		if err := count.verdict(id, v); err != nil {
			t.Fatal(err)
		}
	}
	report := count.report()
	if report.GetMissing() != 4 {
		t.Errorf("missing %d of 6, want 4", report.GetMissing())
	}
	if diff := cmp.Diff(map[string]int64{"unparsable": 1, "judge-unparsable": 1}, report.GetFailures()); diff != "" {
		t.Errorf("failures differ (-want +got):\n%s", diff)
	}
	if report.GetUsage().GetCalls() != 12 || report.GetUsage().GetSearches() != 2 || report.GetJudgeUsage().GetCalls() != 2 {
		t.Errorf("usage %v, judge %v", report.GetUsage(), report.GetJudgeUsage())
	}
	if got := report.GetAnswer(); got.GetMean() != 0.5 || len(got.GetByRepetition()) != 1 {
		t.Errorf("answer %v: repetitions without a verdict are missing, not 0", got)
	}
}

func TestAgreementOfJudgeAndRule(t *testing.T) {
	t.Parallel()
	count := newTally(goldSet{"a": nil, "b": nil, "c": nil}, 2)
	add := func(question string, sample int, judged, contains bool) {
		v := right(judged, judged)
		v.Contains = contains
		if err := count.verdict(identity(question, sample), v); err != nil {
			t.Fatal(err)
		}
	}
	add("a", 0, true, true)
	add("a", 1, true, true)
	add("b", 0, true, false)
	if pearson, spearman := count.agreement(); pearson != nil || spearman != nil {
		t.Error("the judge called everything right: no correlation is defined")
	}
	add("b", 1, false, false)
	add("c", 0, false, false)
	add("c", 1, false, false)
	pearson, spearman := count.agreement() // judge 1, 1/2, 0; rule 1, 0, 0
	if pearson == nil || spearman == nil || math.Abs(*pearson-math.Sqrt(3)/2) > 1e-9 || math.Abs(*spearman-math.Sqrt(3)/2) > 1e-9 {
		t.Errorf("got %v and %v, want %v twice", pearson, spearman, math.Sqrt(3)/2)
	}
}

func TestVerdictOnAnUnknownQuestionIsRefused(t *testing.T) {
	t.Parallel()
	if err := newTally(goldSet{"a": nil}, 1).verdict(identity("z", 0), right(true, true)); err == nil {
		t.Error("want an error: the verdict belongs to another set")
	}
}
