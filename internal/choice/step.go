package choice

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Step is one step to rank.
type Step struct {
	*pb.Step
	// Name of the step and its ranker: what the shuffle and the seeds derive from.
	Name string
	// Prompt is what the model could see, rendered from the state alone.
	Prompt string
	// Options are candidate indices, one for each distinct action that can be read, the default first.
	Options []int32
	// empty tells which candidates have an empty element.
	empty []bool
}

// Steps replays a trajectory into the steps to rank.
func Steps(t *pb.Trajectory, ranker string) ([]*Step, error) {
	var steps []*Step
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

func newStep(s *pb.Step, name, prompt string) *Step {
	out := &Step{Step: s, Name: name, Prompt: prompt}
	for _, c := range s.GetCandidates() {
		out.empty = append(out.empty, agent.HasEmptyElement(s.GetKind(), c.GetText()))
	}
	seen := map[string]bool{}
	for _, i := range candidates(s) {
		// An action's twin that lacks an element, a check's comments for instance, is another output: it is a bad one.
		action := fmt.Sprint(out.empty[i], agent.Canonical(s.GetKind(), s.GetCandidates()[i].GetText()))
		if !seen[action] {
			seen[action] = true
			out.Options = append(out.Options, i)
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

// Single is a step with nothing to rank.
func (s *Step) Single() bool { return len(s.Options) == 1 }

// Shuffled is the options in an order that derives from the step's name, and from what is asked again, from its number.
func (s *Step) Shuffled(again int) []int32 {
	name := s.Name
	if again > 0 {
		name = fmt.Sprintf("%s, again %d", name, again)
	}
	sum := sha256.Sum256([]byte(name))
	random := rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])))
	slots := make([]int32, len(s.Options))
	for i, j := range random.Perm(len(slots)) {
		slots[i] = s.Options[j]
	}
	return slots
}

// EmptyLast moves outputs with an empty element behind the others: they are bad whatever the judge says (paper, listing 8).
func (s *Step) EmptyLast(r *pb.StepRanking) {
	for _, b := range append(r.GetVotes(), r.GetSwapped()) {
		s.sink(b.GetRanking())
	}
	if len(r.GetRanking()) == 0 {
		return
	}
	best := r.GetRanking()[0]
	s.sink(r.GetRanking())
	if r.GetRanking()[0] != best && r.GetExplanation() != "" {
		r.Explanation += fmt.Sprintf(" (overruled: candidate %d has an empty element)", best)
	}
}

func (s *Step) sink(order []int32) {
	slices.SortStableFunc(order, func(a, b int32) int { return weight(s.empty[a]) - weight(s.empty[b]) })
}

func weight(empty bool) int {
	if empty {
		return 1
	}
	return 0
}
