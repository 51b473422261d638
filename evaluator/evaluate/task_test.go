package evaluate

import (
	"strings"
	"sync"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

func countOf(t testing.TB, conn *bus.Conn, stream string) (n int) {
	t.Helper()
	for _, err := range conn.Read(t.Context(), stream) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestBaselineThenDecisions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		look       int
		challenger func(question int) int
		want       pb.Ruling
		promoted   int
	}{
		{"a better policy is promoted", 3, always(3), pb.Ruling_RULING_PROMOTE, 1},
		{"a worse policy is refused", 3, always(0), pb.Ruling_RULING_REJECT, 0},
		{"the same policy is refused", 3, always(1), pb.Ruling_RULING_REJECT, 0},
		{"an unclear one keeps the incumbent", 3, func(q int) int { return []int{0, 3}[q%2] }, pb.Ruling_RULING_UNDECIDED, 0},
		{"an unclear one goes on before the last look", 2, func(q int) int { return []int{0, 2}[q%2] }, pb.Ruling_RULING_CONTINUE, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.evaluated(0, 3, always(1))
			b.evaluate(task(0, -1, 3))
			if got := b.recorded(0, "decision", 3).GetDecision(); got.GetRuling() != pb.Ruling_RULING_BASELINE {
				t.Fatalf("baseline: got %v", got)
			}
			b.evaluated(1, 3, c.challenger)
			b.evaluate(task(1, 0, c.look))
			decision := b.recorded(1, "decision", c.look).GetDecision()
			if decision.GetRuling() != c.want {
				t.Errorf("got %v: %s; want %v", decision.GetRuling(), decision.GetReason(), c.want)
			}
			record, _ := b.promoted()
			if record.Generation != c.promoted {
				t.Errorf("generation %d is promoted, want %d", record.Generation, c.promoted)
			}
		})
	}
}

func TestReportOnTheBus(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.evaluated(0, 3, always(1))
	b.evaluate(task(0, -1, 2))
	report := b.recorded(0, "report", 2).GetReport()
	if report.GetAnswer().GetMean() != 0.5 || report.GetDraft().GetMean() != 0 || report.GetMissing() != 0 {
		t.Errorf("answer %v, draft %v, missing %d; want 0.5, 0 and 0 over the first two repetitions",
			report.GetAnswer(), report.GetDraft(), report.GetMissing())
	}
	if report.GetTarget() != "own" || report.GetSet() != "bench" || report.GetJudge() != "llm" || report.GetPolicy().GetName() != "policy-0" {
		t.Errorf("the report does not say what it is of: %v", report)
	}
	if got := report.GetUsage(); got.GetCalls() != 9*2*questions || got.GetSearches() != 2*2*questions {
		t.Errorf("usage %v, want that of %d trajectories", got, 2*questions)
	}
}

func TestAMissingVerdictCannotPromote(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.evaluated(0, 3, always(0))
	b.evaluate(task(0, -1, 3))
	b.evaluated(1, 2, always(2)) // the third repetition never came
	b.evaluate(task(1, 0, 3))
	decision := b.recorded(1, "decision", 3).GetDecision()
	if decision.GetRuling() != pb.Ruling_RULING_UNDECIDED || !strings.Contains(decision.GetReason(), "incomplete: 12") {
		t.Errorf("got %v: %s", decision.GetRuling(), decision.GetReason())
	}
	if record, _ := b.promoted(); record.Generation != 0 {
		t.Errorf("generation %d is promoted", record.Generation)
	}
}

func TestAStudentIsReportedOnAndNotDecided(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	student := task(1, 0, 3)
	student.Task.GetEvaluate().Target = "small"
	b.evaluate(student)
	if _, err := b.evaluating.recorded(t.Context(), evalSubject("r", 1, "small", "report", 3)); err != nil {
		t.Error(err)
	}
	if n := countOf(t, b.conn, bus.Evals); n != 1 {
		t.Errorf("%d results on EVALS, want the report alone", n)
	}
}

func TestARedeliveredTaskDoesNothingTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.evaluated(0, 3, always(1))
	b.evaluate(task(0, -1, 3))
	before, revision := b.promoted()
	b.evaluate(task(0, -1, 3))
	if after, again := b.promoted(); after.At != before.At || again != revision {
		t.Errorf("promoted anew: revision %d, was %d", again, revision)
	}
	if n := countOf(t, b.conn, bus.Evals); n != 2 {
		t.Errorf("%d results on EVALS, want a report and a decision", n)
	}
}

// TestTwoWorkersOnOneTask: the lease ran out while the first worker lived on.
func TestTwoWorkersOnOneTask(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.evaluated(0, 3, always(1))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := b.evaluating.handle(t.Context(), task(0, -1, 3)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := countOf(t, b.conn, bus.Evals); n != 2 {
		t.Errorf("%d results on EVALS, want one report and one decision", n)
	}
	history, err := b.conn.KV(modelsBucket).History(t.Context(), promotedKey("r"))
	if err != nil || len(history) != 1 {
		t.Errorf("promoted %d times (%v), want once", len(history), err)
	}
}

// TestACrashBeforeThePromotionIsMadeUpFor: the decision was recorded, then the evaluator died.
func TestACrashBeforeThePromotionIsMadeUpFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.evaluated(0, 3, always(1))
	b.publish(evalSubject("r", 0, "own", "decision", 3), &pb.Event{
		Run: "r", Body: &pb.Event_Decision{Decision: &pb.Decision{Target: "own", Ruling: pb.Ruling_RULING_BASELINE, Policy: testPolicy(0)}},
	})
	b.evaluate(task(0, -1, 3))
	record, revision := b.promoted()
	decided := b.recorded(0, "decision", 3)
	if revision == 0 || !record.At.Equal(decided.GetTime().AsTime()) || record.Checkpoint != "checkpoint-0" {
		t.Errorf("got %+v, want the promotion that the decision of %v implies", record, decided.GetTime().AsTime())
	}
}

func TestPromotionNeverGoesBackwards(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			w := work{Evaluate: &pb.Evaluate{Target: "own", Look: 3}, run: "r", generation: g}
			decided := &pb.Event{Body: &pb.Event_Decision{Decision: &pb.Decision{Ruling: pb.Ruling_RULING_PROMOTE, Policy: testPolicy(g)}}}
			if err := b.evaluating.promote(t.Context(), w, &pb.Report{}, decided); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if record, _ := b.promoted(); record.Generation != 7 {
		t.Errorf("eight promotions at once left generation %d in force, want 7", record.Generation)
	}
}

func TestABrokenPromotionRecordIsNotOverwritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.conn.KV(modelsBucket).Create(t.Context(), promotedKey("r"), []byte("not JSON")); err != nil {
		t.Fatal(err)
	}
	b.evaluated(0, 3, always(1))
	if err := b.evaluating.handle(t.Context(), task(0, -1, 3)); err == nil || !strings.Contains(err.Error(), "promoted.r") {
		t.Errorf("got %v, want an error that names the key", err)
	}
}

func TestUnusableTasksAreDeadLetters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	unplanned := task(1, 0, 3)
	unplanned.Task.GetEvaluate().Repetitions = 2
	other := task(1, 0, 3)
	other.Task.Work = &pb.Task_Build{}
	for name, c := range map[string]*worker.Task{"unplanned look": unplanned, "other work": other} {
		if err := b.evaluating.handle(t.Context(), c); !bus.IsPermanent(err) {
			t.Errorf("%s: got %v, want a permanent error", name, err)
		}
	}
	b.evaluated(1, 3, always(1))
	if err := b.evaluating.handle(t.Context(), task(1, 0, 3)); err == nil || bus.IsPermanent(err) {
		t.Errorf("no report of the incumbent: got %v, want an error that is retried", err)
	}
}
