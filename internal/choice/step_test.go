package choice

import (
	"slices"
	"strings"
	"testing"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestChecksWithoutComments: a check's comments are an element of it, so its twin with comments is another option.
func TestChecksWithoutComments(t *testing.T) {
	t.Parallel()
	const passed = "ACTION_SELECTED: Command = Check_Answer(passed=True)  # [END]"
	s := newStep(&pb.Step{Kind: pb.StepKind_STEP_KIND_GROUNDING, Candidates: []*pb.Candidate{
		{Text: passed}, {Text: "# The link says so.\n" + passed}, {Text: "# Link 1 does.\n" + passed},
	}}, "", "")
	ranking := &pb.StepRanking{Ranking: slices.Clone(s.Options), Explanation: "short"}
	s.EmptyLast(ranking)
	if !slices.Equal(ranking.GetRanking(), []int32{1, 0}) || !strings.Contains(ranking.GetExplanation(), "candidate 0 has an empty element") {
		t.Errorf("%v, want the one with comments first, and the reason", ranking)
	}
}
