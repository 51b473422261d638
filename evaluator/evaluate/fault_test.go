package evaluate

import (
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/fault"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestFaultsOfEvaluating: every write of an evaluator meets a fault, or is its last or the last before its last. There is
// one verdict on each trajectory, one report, one decision and one promotion, and nothing is judged for nothing.
func TestFaultsOfEvaluating(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]fault.Write{
		"verdict":              {Subject: "ratchet.v1.verdict.llm.r"},
		"ack of a trajectory":  {Subject: "$JS.ACK.TRAJECTORIES.judge-llm", Contains: "+ACK"},
		"report":               {Subject: evalSubject("r", 0, "own", "report", 3)},
		"decision":             {Subject: evalSubject("r", 0, "own", "decision", 3)},
		"promotion":            {Subject: "$KV.models.promoted.r"},
		"ack of an evaluation": {Subject: "$JS.ACK.TASKS.evaluate", Contains: "+ACK"},
	} {
		for _, k := range fault.All {
			t.Run(name+" "+k.String(), func(t *testing.T) {
				t.Parallel()
				r := openRole(t)
				r.cfg.Evaluator.Slots = 1 // one verdict in flight
				link := fault.NewLink(t, r.cfg.Bus.URL)
				happened := link.Arm(w, k)
				first, second := r.process(t, link.URL()), r.process(t, r.cfg.Bus.URL)
				go first.run()
				go func() {
					<-happened
					if k.Deadly() {
						first.die()
						second.run()
					}
				}()
				defer func() { first.stop(); second.stop() }()
				if d := r.evaluate(t, 0, -1, "right answer"); d.GetRuling() != pb.Ruling_RULING_BASELINE {
					t.Errorf("got %v: %s", d.GetRuling(), d.GetReason())
				}
				r.settled(t)
				select {
				case <-happened:
				default:
					t.Error("the fault never happened")
				}
				r.settled(t)
				for stream, want := range map[string]int{bus.Verdicts: 3 * questions, bus.Evals: 2, bus.Dead: 0} {
					if n := countOf(t, r.conn, stream); n != want {
						t.Errorf("%s: %d messages, want %d", stream, n, want)
					}
				}
				history, err := r.conn.KV(modelsBucket).History(t.Context(), promotedKey("r"))
				if err != nil || len(history) != 1 {
					t.Errorf("promoted %d times (%v), want once", len(history), err)
				}
				// Draft and answer are a call each; a verdict that was not out goes with its judge.
				want := 2 * 3 * questions
				if name == "verdict" && k == fault.DeathBefore {
					want += 2
				}
				if n := r.judge.called(); n != want {
					t.Errorf("%d calls, want %d", n, want)
				}
			})
		}
	}
}

// die ends an evaluator as a crash would: nothing of what it does next reaches the bus.
func (p *process) die() {
	p.env.Bus.Close()
	p.stop()
	<-p.stopped
}

// settled waits until nothing is left to do.
func (r *role) settled(t *testing.T) {
	t.Helper()
	devstack.TestSettled(t, r.conn, bus.TaskSource(taskKind), bus.JudgeSource("llm"))
}
