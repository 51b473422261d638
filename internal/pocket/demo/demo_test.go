package demo

import (
	"math"
	"slices"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/pocket/lang"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// A course runs through the real agent: five kinds of steps, about nine per question, the same for the same seed.
func TestShow(t *testing.T) {
	t.Parallel()
	const worlds, questions = 2, 20
	shown, err := Show(3, Sloppy, worlds, questions)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Show(3, Sloppy, worlds, questions)
	if err != nil || !slices.Equal(shown, again) {
		t.Errorf("the same seed showed something else: %v", err)
	}
	kinds := map[pb.StepKind]int{}
	for _, d := range shown {
		kinds[d.Kind]++
	}
	if n := worlds * questions; len(kinds) != 5 || kinds[pb.StepKind_STEP_KIND_ANSWER] != n || len(shown) < 6*n || len(shown) > 12*n {
		t.Errorf("%d steps: %v", len(shown), kinds)
	}
	clean, err := Show(3, Sloppiness{}, worlds, questions)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(clean), worlds*questions*8; got < want || got > want+want/10 {
		t.Errorf("a clean course of %d questions has %d steps, want hardly more than %d", worlds*questions, got, want)
	}
}

// The rates of a habit fill its range evenly, in an order that the seed deals.
func TestHabits(t *testing.T) {
	t.Parallel()
	rates := NewTeacher(1, Sloppy).habits.bridge
	var sum float64
	for _, rate := range rates {
		if rate < Sloppy.Bridge[0] || rate > Sloppy.Bridge[1] {
			t.Errorf("rate %g outside of %v", rate, Sloppy.Bridge)
		}
		sum += rate
	}
	mean := sum / float64(len(lang.Relations))
	if want := (Sloppy.Bridge[0] + Sloppy.Bridge[1]) / 2; len(rates) != len(lang.Relations) || math.Abs(mean-want) > 1e-9 {
		t.Errorf("%d rates with mean %g, want %g", len(rates), mean, want)
	}
	other := NewTeacher(2, Sloppy).habits.bridge
	same := 0
	for r, rate := range rates {
		if other[r] == rate {
			same++
		}
	}
	if same == len(rates) {
		t.Error("two seeds dealt the same habits")
	}
}
