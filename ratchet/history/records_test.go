package history_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// TestFinished: trajectories come in the order of identity, each with what everybody said of it; what is spoiled or
// running is no reason to stop.
func TestFinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := 4; n >= 0; n-- {
		if n != 2 {
			w.trajectory(identity(grow, n), 0)
		}
		w.feedback(identity(grow, n), "llm")
	}
	w.feedback(identity(grow, 3), "human")
	w.trajectory(identity(eval, 1), 0)
	w.verdict(identity(eval, 1))
	stranger := devstack.TestStranger(t, w.conn.URL())
	stranger.Publish(t, bus.TrajectorySubject(identity(grow, 2)), devstack.Spoiled{Reason: "body"})
	stranger.Publish(t, "ratchet.v1.trajectory."+run+".1.own.grow.sampleless", devstack.Spoiled{Outcome: "completed"})
	stranger.Publish(t, bus.FeedbackSubject("mine", identity(grow, 1)), devstack.Spoiled{Reason: "body"})

	var got []string
	for s, err := range history.Finished(t.Context(), w.conn, history.Query{Run: run, Generation: -1, Sample: -1}) {
		if err != nil && !errors.Is(err, bus.ErrRejected) {
			t.Fatal(err)
		}
		id := s.Trajectory.GetIdentity()
		got = append(got, fmt.Sprintf("%d/%s rejected %t, %d steps, %d feedback, %d verdicts", id.GetGeneration(), id.GetQuestion(), err != nil, len(s.Trajectory.GetSteps()), len(s.Feedback), len(s.Verdicts)))
	}
	want := []string{
		"0/pool-1 rejected false, 1 steps, 0 feedback, 1 verdicts",
		"1/pool-0 rejected false, 1 steps, 1 feedback, 0 verdicts",
		"1/pool-1 rejected false, 1 steps, 1 feedback, 0 verdicts",
		"1/pool-2 rejected true, 0 steps, 0 feedback, 0 verdicts",
		"1/pool-3 rejected false, 1 steps, 2 feedback, 0 verdicts",
		"1/pool-4 rejected false, 1 steps, 1 feedback, 0 verdicts",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for s, err := range history.Finished(t.Context(), w.conn, history.Query{Run: run, Generation: 1, Purpose: "eval", Sample: -1}) {
		t.Errorf("got %v, %v", s, err)
	}
}
