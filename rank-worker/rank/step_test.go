package rank

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func TestSteps(t *testing.T) {
	t.Parallel()
	trajectory := grow(t, "r", 0)
	before := proto.CloneOf(trajectory)
	steps, err := stepsOf(trajectory, "llm")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		want := []int32{chosen, preferred, other} // the twin is the chosen one's, and what cannot be read is no option
		if i == stepGrounding {
			want = []int32{chosen}
		}
		if !slices.Equal(s.options, want) || !strings.Contains(s.prompt, "ORIGINAL_QUESTION") {
			t.Errorf("step %d: options %v, want %v", i, s.options, want)
		}
	}
	if !proto.Equal(trajectory, before) {
		t.Error("ranking has changed the trajectory")
	}
}

// TestChecksWithoutComments: a check's comments are an element of it, so its twin with comments is another option.
func TestChecksWithoutComments(t *testing.T) {
	t.Parallel()
	const passed = "ACTION_SELECTED: Command = Check_Answer(passed=True)  # [END]"
	s := newStep(&pb.Step{Kind: pb.StepKind_STEP_KIND_GROUNDING, Candidates: []*pb.Candidate{
		{Text: passed}, {Text: "# The link says so.\n" + passed}, {Text: "# Link 1 does.\n" + passed},
	}}, "", "")
	ranking := &pb.StepRanking{Ranking: slices.Clone(s.options), Explanation: "short"}
	s.emptyLast(ranking)
	if !slices.Equal(ranking.GetRanking(), []int32{1, 0}) || !strings.Contains(ranking.GetExplanation(), "candidate 0 has an empty element") {
		t.Errorf("%v, want the one with comments first, and the reason", ranking)
	}
}

// TestDefaultOrder: a candidate without a log-probability is never ahead of one that has it, but for the default.
func TestDefaultOrder(t *testing.T) {
	t.Parallel()
	likely, unlikely := -1.0, -2.0
	s := &step{options: []int32{2, 0, 1, 3}, Step: &pb.Step{Chosen: 2, Candidates: []*pb.Candidate{
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
		if steps, err := stepsOf(trajectory, "llm"); err == nil {
			t.Errorf("%s: %d steps", name, len(steps))
		}
	}
}
