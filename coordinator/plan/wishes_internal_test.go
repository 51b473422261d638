package plan

import (
	"testing"

	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// A projection that has just begun has seen no dead letter yet; what a pause told of stays told.
func TestForgive(t *testing.T) {
	t.Parallel()
	c := &conductor{record: &record{State: runstate.State{DeadSeen: 7}}, seen: newProjection(nil, "r")}
	for _, tt := range []struct{ letter, want uint64 }{{0, 7}, {5, 7}, {9, 9}} {
		if tt.letter > 0 {
			c.seen.fatal = append(c.seen.fatal, fatality{kind: kindBuild, seq: tt.letter})
		}
		c.forgive()
		if got := c.record.DeadSeen; got != tt.want {
			t.Errorf("last letter %d: got %d forgiven, want %d", tt.letter, got, tt.want)
		}
	}
}
