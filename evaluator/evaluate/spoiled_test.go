package evaluate

import (
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestSpoiledResultsAreMissing: results that are not what their subject says count as missing, and a challenger that is
// right wherever it can be read is not promoted.
func TestSpoiledResultsAreMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.evaluated(0, 3, always(0))
	b.evaluate(task(0, -1, 3))
	b.evaluated(1, 3, always(1))
	b.evaluate(task(1, 0, 3))
	if r := b.recorded(1, "decision", 3).GetDecision().GetRuling(); r != pb.Ruling_RULING_PROMOTE {
		t.Fatalf("unspoiled: %s", r)
	}

	stranger, spoiled := devstack.TestStranger(t, b.conn.URL()), 0
	for i := range questions * 3 {
		id := trajectory(2, i%questions, i/questions, "draft", "right").GetIdentity()
		good := &pb.Event{Run: "r", Generation: 2, Body: &pb.Event_Verdict{Verdict: &pb.Verdict{Identity: id, Judge: "llm", AnswerRight: true}}}
		if bads := devstack.Spoil(t, good); i < len(bads) {
			stranger.Publish(t, bus.VerdictSubject("llm", id), bads[i])
			stranger.Publish(t, bus.TrajectorySubject(id), devstack.Spoil(t, eventOf(trajectory(2, i, 0, "d", "a")))[i])
			spoiled++
			continue
		}
		b.publish(bus.VerdictSubject("llm", id), good)
	}
	// A verdict on a question that nobody asked, and a report that somebody had ready.
	other := trajectory(2, 0, 0, "", "").GetIdentity()
	other.Question = "bench-of-mine"
	b.publish(bus.VerdictSubject("llm", other), &pb.Event{Run: "r", Generation: 2, Body: &pb.Event_Verdict{Verdict: &pb.Verdict{Identity: other, Judge: "llm"}}})
	for _, bad := range devstack.Spoil(t, &pb.Event{Run: "r", Generation: 2, Body: &pb.Event_Report{Report: &pb.Report{Target: "own"}}}) {
		stranger.Publish(t, evalSubject("r", 2, "own", "report", 3), bad)
	}
	b.evaluate(task(2, 1, 3))
	report, decision := b.recorded(2, "report", 3).GetReport(), b.recorded(2, "decision", 3).GetDecision()
	if report.GetMissing() != int64(spoiled) || report.GetAnswer().GetMean() != 1 || spoiled < 8 {
		t.Errorf("%d missing, mean %v; want %d and that of the rest", report.GetMissing(), report.GetAnswer().GetMean(), spoiled)
	}
	if decision.GetRuling() == pb.Ruling_RULING_PROMOTE {
		t.Errorf("promoted: %s", decision.GetReason())
	}
	if record, _ := b.promoted(); record.Checkpoint != "checkpoint-1" {
		t.Errorf("promoted %+v, want generation 1 still", record)
	}
}
