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

// TestBallots: what is compared with a ranking obeys the rule too.
func TestBallots(t *testing.T) {
	t.Parallel()
	s := &Step{empty: []bool{true, false, false}}
	r := &pb.StepRanking{
		Ranking: []int32{0, 2, 1}, Votes: []*pb.Ballot{{Ranking: []int32{0, 1, 2}}, {}}, Swapped: &pb.Ballot{Ranking: []int32{2, 0, 1}},
	}
	s.EmptyLast(r)
	if !slices.Equal(r.GetRanking(), []int32{2, 1, 0}) || !slices.Equal(r.GetVotes()[0].GetRanking(), []int32{1, 2, 0}) || !slices.Equal(r.GetSwapped().GetRanking(), []int32{2, 1, 0}) {
		t.Errorf("%v, want candidate 0 last everywhere", r)
	}
}
