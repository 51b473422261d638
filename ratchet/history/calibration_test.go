package history_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// judged publishes a verdict of the judge llm, and returns the trajectory's identity.
func (w world) judged(generation, question int, v *pb.Verdict) string {
	w.t.Helper()
	id := identity(eval, question)
	id.Generation = int32(generation)
	v.Identity, v.Judge = id, "llm"
	if v.GetOutcome() == 0 {
		v.Outcome = pb.Outcome_OUTCOME_COMPLETED
	}
	w.publish(bus.VerdictSubject("llm", id), w.event(id, &pb.Event{Body: &pb.Event_Verdict{Verdict: v}}))
	return bus.IDTokens(id)
}

// TestCalibration: the textbook's table against exact match; what the judge has not read, or not been read on, is told
// apart and in no table; people's majority, ties and agreement; policies by what people say.
func TestCalibration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	labels := map[string][]history.Label{}
	for n := range 50 { // 20, 5, 10, 15
		judge, match := n < 25, n < 20 || n >= 25 && n < 35
		f1 := 0.1
		if judge {
			f1 = 0.7
		}
		id := w.judged(n%3, n, &pb.Verdict{AnswerRight: judge, ExactMatch: match, F1: f1})
		if n < 40 { // people: of one mind, and against the judge in 8 of generation 0
			right := judge != (n%3 == 0 && n < 24)
			labels[id] = []history.Label{{"ann", right}, {"bob", right}, {"eve", !right}}
		}
	}
	tied := w.judged(0, 60, &pb.Verdict{AnswerRight: true})
	labels[tied] = []history.Label{{"ann", true}, {"bob", false}}
	w.judged(0, 61, &pb.Verdict{Reason: "wrong: the trajectory failed (unparsable): x"})
	w.judged(0, 62, &pb.Verdict{Reason: "wrong: judge unreadable, twice: x", Outcome: pb.Outcome_OUTCOME_FAILED, Failure: pb.FailureClass_FAILURE_CLASS_UNPARSABLE})

	calibrate := func(generation int) history.Calibration {
		c := history.Calibrator{F1: 0.5, Labels: labels}
		if err := c.Read(t.Context(), w.conn, history.Results{Run: run}, "llm", history.Query{Generation: generation}); err != nil {
			t.Fatal(err)
		}
		return c.Close()
	}
	c := calibrate(-1)
	if c.Answers != 51 || c.Failed != 1 || c.Unreadable != 1 {
		t.Errorf("%d answers, %d failed, %d unreadable; want 51, 1, 1", c.Answers, c.Failed, c.Unreadable)
	}
	exact, f1, people := c.Tables[0], c.Tables[1], c.Tables[3]
	cells := func(t history.Table) string {
		return fmt.Sprint(t.With, t.BothTrue, t.JudgeOnly, t.OtherOnly, t.BothFalse)
	}
	if cells(exact) != "exact match20 6 10 15" || cells(f1) != "F125 1 0 25" || cells(people) != "people17 8 0 15" {
		t.Errorf("%s; %s; %s", cells(exact), cells(f1), cells(people))
	}
	if math.Abs(exact.Accuracy.Value-35.0/51) > 1e-9 || exact.Kappa.Interval.Low > exact.Kappa.Value || exact.Kappa.Interval.High < exact.Kappa.Value {
		t.Errorf("accuracy %+v, kappa %+v", exact.Accuracy, exact.Kappa)
	}
	if math.Abs(c.F1Right.Value-0.7*25/26) > 1e-9 || math.Abs(c.F1Wrong.Value-0.1) > 1e-9 {
		t.Errorf("mean F1 %+v, %+v", c.F1Right, c.F1Wrong)
	}
	if p := c.People; p.Labels != 122 || p.Answers != 41 || p.Tied != 1 || math.Abs(p.Accuracy.Value-40.0/121) > 1e-9 {
		t.Errorf("people %+v, agreeing %+v; want 1 of 3 pairs of 40 answers, and none of the tie", p, p.Accuracy)
	}
	if last := c.Policies[len(c.Policies)-1]; last.With != "people" || last.Policies != 3 || last.Pearson == nil {
		t.Errorf("policies %+v, want 3 compared with people", last)
	}
	if one := calibrate(1); one.Answers != 17 || one.Tables[3].JudgeOnly != 0 {
		t.Errorf("generation 1: %d answers, %s", one.Answers, cells(one.Tables[3]))
	}
}
