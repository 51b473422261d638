package rank

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/choice"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func TestSteps(t *testing.T) {
	t.Parallel()
	trajectory := grow(t, "r", 0)
	before := proto.CloneOf(trajectory)
	steps, err := choice.Steps(trajectory, "llm")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		want := []int32{chosen, preferred, other} // the twin is the chosen one's, and what cannot be read is no option
		if i == stepGrounding {
			want = []int32{chosen}
		}
		if !slices.Equal(s.Options, want) || !strings.Contains(s.Prompt, "ORIGINAL_QUESTION") {
			t.Errorf("step %d: options %v, want %v", i, s.Options, want)
		}
	}
	if !proto.Equal(trajectory, before) {
		t.Error("ranking has changed the trajectory")
	}
}

// TestDefaultOrder: a candidate without a log-probability is never ahead of one that has it, but for the default.
func TestDefaultOrder(t *testing.T) {
	t.Parallel()
	likely, unlikely := -1.0, -2.0
	s := &choice.Step{Options: []int32{2, 0, 1, 3}, Step: &pb.Step{Chosen: 2, Candidates: []*pb.Candidate{
		{}, {MeanLogprob: &unlikely}, {}, {MeanLogprob: &likely},
	}}}
	if have := defaultOrder(s); !slices.Equal(have, []int32{2, 3, 1, 0}) {
		t.Errorf("%v, want the default, then by perplexity", have)
	}
}

func TestNotReplayable(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*pb.Trajectory){
		"another order": func(t *pb.Trajectory) { t.Steps[1], t.Steps[2] = t.Steps[2], t.Steps[1] },
		"none chosen":   func(t *pb.Trajectory) { t.Steps[2].Chosen = -1 },
		"no candidates": func(t *pb.Trajectory) { t.Steps[0].Candidates = nil },
		"unreadable":    func(t *pb.Trajectory) { t.Steps[0].Chosen = unread },
	} {
		trajectory := grow(t, "r", 0)
		spoil(trajectory)
		if steps, err := choice.Steps(trajectory, "llm"); err == nil {
			t.Errorf("%s: %d steps", name, len(steps))
		}
	}
}
