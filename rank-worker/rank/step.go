package rank

import (
	"fmt"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// step is one step to rank.
type step struct {
	*pb.Step
	// name of the step and its ranker: what the shuffle and the seeds derive from.
	name string
	// prompt is what the model could see, rendered from the state alone.
	prompt string
	// options are candidate indices, one for each distinct action that can be read, the default first.
	options []int32
	// empty tells which candidates have an empty element.
	empty []bool
}

// stepsOf replays a trajectory into the steps to rank.
func stepsOf(t *pb.Trajectory, ranker string) ([]*step, error) {
	var steps []*step
	id := bus.IDTokens(t.GetIdentity())
	for state, s := range agent.Replay(t) {
		if c := int(s.GetChosen()); c < 0 || c >= len(s.GetCandidates()) {
			return nil, fmt.Errorf("step %d of a completed trajectory chose candidate %d of %d", s.GetIndex(), c, len(s.GetCandidates()))
		}
		steps = append(steps, newStep(s, fmt.Sprintf("%s#%d %s", id, s.GetIndex(), ranker),
			agent.Render(state, s.GetKind(), pb.Rendering_RENDERING_BARE, 0)))
	}
	if len(steps) != len(t.GetSteps()) {
		return nil, fmt.Errorf("only %d of %d steps can be replayed (%w); was it made by another version of the agent?",
			len(steps), len(t.GetSteps()), agent.Verify(t))
	}
	return steps, nil
}

func newStep(s *pb.Step, name, prompt string) *step {
	out := &step{Step: s, name: name, prompt: prompt}
	for _, c := range s.GetCandidates() {
		out.empty = append(out.empty, agent.HasEmptyElement(s.GetKind(), c.GetText()))
	}
	seen := map[string]bool{}
	for _, i := range candidates(s) {
		// An action's twin that lacks an element, a check's comments for instance, is another output: it is a bad one.
		action := fmt.Sprint(out.empty[i], agent.Canonical(s.GetKind(), s.GetCandidates()[i].GetText()))
		if !seen[action] {
			seen[action] = true
			out.options = append(out.options, i)
		}
	}
	return out
}

// candidates are the indices of what can be read, the default first, so that it stands for its own action.
func candidates(s *pb.Step) []int32 {
	all := []int32{s.GetChosen()}
	for i, c := range s.GetCandidates() {
		if int32(i) != s.GetChosen() && c.GetParseError() == "" {
			all = append(all, int32(i))
		}
	}
	return all
}

// emptyLast moves outputs with an empty element behind the others: they are bad whatever the judge says (paper, listing 8).
func (s *step) emptyLast(r *pb.StepRanking) {
	if len(r.GetRanking()) == 0 {
		return
	}
	best := r.GetRanking()[0]
	slices.SortStableFunc(r.GetRanking(), func(a, b int32) int { return weight(s.empty[a]) - weight(s.empty[b]) })
	if r.GetRanking()[0] != best && r.GetExplanation() != "" {
		r.Explanation += fmt.Sprintf(" (overruled: candidate %d has an empty element)", best)
	}
}

func weight(empty bool) int {
	if empty {
		return 1
	}
	return 0
}
