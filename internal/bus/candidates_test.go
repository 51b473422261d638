package bus_test

import (
	"maps"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestCandidates: a trajectory's header says how many candidates were drawn and could not be read, and what it cost.
func TestCandidates(t *testing.T) {
	t.Parallel()
	conn, id := devstack.TestBus(t), identity("pool-1")
	ev := trajectory(id, "a")
	good, bad := &pb.Candidate{Text: "a"}, &pb.Candidate{Text: "?", ParseError: "no action"}
	ev.GetTrajectory().Usage = &pb.Usage{CostNano: 1_234_567_891}
	ev.GetTrajectory().Steps = []*pb.Step{
		{Kind: pb.StepKind_STEP_KIND_DECISION, Candidates: []*pb.Candidate{good, bad}},
		{Kind: pb.StepKind_STEP_KIND_ANSWER, Candidates: []*pb.Candidate{good}},
		{Kind: pb.StepKind_STEP_KIND_DECISION, Candidates: []*pb.Candidate{bad, bad}},
		{Kind: pb.StepKind_STEP_KIND_GROUNDING},
	}
	if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), ev); err != nil {
		t.Fatal(err)
	}
	m, err := conn.Last(t.Context(), bus.Trajectories, bus.TrajectorySubject(id))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bus.Candidates{"decision": {Drawn: 4, Unparsable: 3}, "answer": {Drawn: 1}}
	if got := m.Candidates(); !maps.Equal(got, want) || m.Get(bus.HeaderCost) != "1234567891" {
		t.Errorf("%q, cost %q; want %v", m.Get(bus.HeaderCandidates), m.Get(bus.HeaderCost), want)
	}
	for header, want := range map[string]int{
		"": 0, "decision=4/3 answer=1/0": 2, "decision=3/4": 0, "decision=4": 0, "decision": 0, "poem=4/3": 0, "decision=4/-1 \x1b=1/1": 0,
	} {
		if got := bus.ParseCandidates(header); len(got) != want {
			t.Errorf("%q: %v, want %d", header, got, want)
		}
	}
}
