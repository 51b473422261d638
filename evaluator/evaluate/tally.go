package evaluate

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/statistics"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// tally counts what a report says, one message at a time.
type tally struct {
	repetitions int
	questions   map[string]*questionTally
	// judged counts the verdicts of each repetition, and the series what they add up to.
	judged                             []int
	draft, answer, exact, f1, contains []float64
	failures                           map[string]int64
	usage, judgeUsage                  *pb.Usage
}

// questionTally counts one question's verdicts: byRule are the answers that contain the gold answer.
type questionTally struct{ of, draft, answer, byRule int }

// newTally expects verdicts on every question of the set, as often as there are repetitions.
func newTally(set goldSet, repetitions int) *tally {
	t := &tally{
		repetitions: repetitions,
		questions:   make(map[string]*questionTally, len(set)),
		judged:      make([]int, repetitions),
		failures:    map[string]int64{},
		usage:       &pb.Usage{}, judgeUsage: &pb.Usage{},
	}
	for _, series := range []*[]float64{&t.draft, &t.answer, &t.exact, &t.f1, &t.contains} {
		*series = make([]float64, repetitions)
	}
	for token := range set {
		t.questions[token] = &questionTally{}
	}
	return t
}

// counts tells whether a trajectory belongs to the repetitions so far.
func (t *tally) counts(id *pb.Identity) bool { return int(id.GetSample()) < t.repetitions }

// trajectory counts what a trajectory cost and how it failed, if it did.
func (t *tally) trajectory(id *pb.Identity, class string, cost *pb.Usage) {
	if !t.counts(id) {
		return
	}
	if class != "" {
		t.failures[class]++
	}
	addUsage(t.usage, cost)
}

// verdict counts one verdict.
func (t *tally) verdict(id *pb.Identity, v *pb.Verdict) error {
	if !t.counts(id) {
		return nil
	}
	q := t.questions[id.GetQuestion()]
	if q == nil {
		return fmt.Errorf("question %s is not one of the %d of the evaluation set", id.GetQuestion(), len(t.questions))
	}
	r := id.GetSample()
	t.judged[r]++
	q.of++
	if v.GetDraftRight() {
		q.draft++
		t.draft[r]++
	}
	if v.GetAnswerRight() {
		q.answer++
		t.answer[r]++
	}
	if v.GetExactMatch() {
		t.exact[r]++
	}
	if v.GetContains() || v.GetExactMatch() {
		q.byRule++
	}
	if v.GetContains() {
		t.contains[r]++
	}
	t.f1[r] += v.GetF1()
	if v.GetOutcome() == pb.Outcome_OUTCOME_FAILED {
		t.failures["judge-"+bus.ClassName(v.GetFailure())]++
	}
	addUsage(t.judgeUsage, v.GetUsage())
	return nil
}

// report is the sum, without what the task says of it.
func (t *tally) report() *pb.Report {
	r := &pb.Report{
		Repetitions: int32(t.repetitions),
		Questions:   int32(len(t.questions)),
		Draft:       t.score(t.draft),
		Answer:      t.score(t.answer),
		ExactMatch:  t.score(t.exact),
		F1:          t.score(t.f1),
		Contains:    t.score(t.contains),
		Missing:     int64(len(t.questions) * t.repetitions),
		Failures:    t.failures,
		Usage:       t.usage,
		JudgeUsage:  t.judgeUsage,
	}
	for _, n := range t.judged {
		r.Missing -= int64(n)
	}
	for _, token := range slices.Sorted(maps.Keys(t.questions)) {
		q := t.questions[token]
		r.ByQuestion = append(r.ByQuestion, &pb.QuestionScore{
			Question: token, Repetitions: int32(q.of), DraftRight: int32(q.draft), AnswerRight: int32(q.answer),
		})
	}
	r.Pearson, r.Spearman = t.agreement()
	return r
}

// score is the mean of each repetition over its verdicts, and their mean and sample standard deviation. A
// repetition without any verdict is missing, not 0.
func (t *tally) score(sums []float64) *pb.Score {
	s := &pb.Score{}
	for r, sum := range sums {
		if t.judged[r] > 0 {
			s.ByRepetition = append(s.ByRepetition, sum/float64(t.judged[r]))
		}
	}
	s.Mean, s.Std = statistics.MeanStd(s.ByRepetition)
	return s
}

// agreement correlates, over questions, the share of answers that the judge calls right with the share that
// matches or contains the gold answer; nil where that is undefined.
func (t *tally) agreement() (pearson, spearman *float64) {
	var byJudge, byRule []float64
	for _, token := range slices.Sorted(maps.Keys(t.questions)) {
		if q := t.questions[token]; q.of > 0 {
			byJudge = append(byJudge, float64(q.answer)/float64(q.of))
			byRule = append(byRule, float64(q.byRule)/float64(q.of))
		}
	}
	if r, defined := statistics.Pearson(byJudge, byRule); defined {
		pearson = &r
	}
	if rho, defined := statistics.Spearman(byJudge, byRule); defined {
		spearman = &rho
	}
	return pearson, spearman
}

func addUsage(sum, more *pb.Usage) {
	sum.Calls += more.GetCalls()
	sum.PromptTokens += more.GetPromptTokens()
	sum.CompletionTokens += more.GetCompletionTokens()
	sum.Searches += more.GetSearches()
	sum.CostNano += more.GetCostNano()
}
