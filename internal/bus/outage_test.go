package bus_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
)

// away is an error that says whether it is an outage.
type away bool

func (a away) Error() string { return "away" }
func (a away) Outage() bool  { return bool(a) }

func TestIsOutage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("a"), false},
		{away(true), true},
		{away(false), false},
		{fmt.Errorf("read: %w", away(true)), true},
		{fmt.Errorf("%w: %w", errors.New("a"), away(true)), true},
		{errors.Join(away(false), away(true)), true},
		{errors.Join(errors.New("a"), errors.New("b")), false},
	} {
		if got := bus.IsOutage(c.err); got != c.want {
			t.Errorf("IsOutage(%v): %v, want %v", c.err, got, c.want)
		}
	}
}
