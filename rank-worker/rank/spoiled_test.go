package rank

import (
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestSpoiledTrajectories are dead letters, which name the trajectory of their subject; the others are ranked.
func TestSpoiledTrajectories(t *testing.T) {
	t.Parallel()
	env := bench(t, newRater(t).url)
	stranger := devstack.TestStranger(t, env.Bus.URL())
	good := grow(t, "plain", 0)
	spoiled := devstack.Spoil(t, &pb.Event{Run: "plain", Generation: 1, Body: &pb.Event_Trajectory{Trajectory: good}})
	for i, bad := range spoiled {
		stranger.Publish(t, bus.TrajectorySubject(grow(t, "plain", 100+i).GetIdentity()), bad)
	}
	publish(t, env.Bus, good)
	run(t, env)
	for subject := range collect(t, env.Bus, 1) {
		if subject != bus.FeedbackSubject("perplexity", good.GetIdentity()) {
			t.Errorf("feedback on %s", subject)
		}
	}
	letters := map[string]int{}
	for len(letters) < len(spoiled) {
		clear(letters)
		for m, err := range env.Bus.Read(t.Context(), bus.Dead, bus.DeadSubject("rank-perplexity", "plain")) {
			if err != nil {
				t.Fatal(err)
			}
			ev, err := m.Event(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			letter := ev.GetDeadLetter()
			if letter.GetFailure() != pb.FailureClass_FAILURE_CLASS_INVALID || len(letter.GetIdentities()) != 1 {
				t.Errorf("%v", letter)
			}
			letters[letter.GetSubject()]++
		}
	}
}
