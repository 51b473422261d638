package interchange

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/agent"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Record is a trajectory and what was said about it.
type Record struct {
	Trajectory *pb.Trajectory
	Feedback   []*pb.Feedback
	Verdicts   []*pb.Verdict
}

// Options of what is written.
type Options struct {
	// Rendering and Shots of the prompts. Unspecified: as the trajectory's own policy was asked.
	Rendering pb.Rendering
	Shots     int
	// Ranker whose ranks count. Empty: the only one there is.
	Ranker string
	// Judge whose verdict counts. Empty: the only one there is.
	Judge string
	// Pairs of candidates that a preference file shows.
	Pairs Pairs
}

// Inferred is the rule in Step.selected_by of a step that no imported text tells of; Imported is that of one it tells of.
const (
	Inferred = "inferred"
	Imported = "imported"
)

// asked is a step with the prompt that it answers.
type asked struct {
	*pb.Step
	prompt string
}

// steps yields the steps of a trajectory, each with its prompt. The caller counts them: fewer than the trajectory has
// means that it does not replay.
func (o Options) steps(t *pb.Trajectory) iter.Seq[asked] {
	rendering, shots := o.Rendering, o.Shots
	if rendering == pb.Rendering_RENDERING_UNSPECIFIED {
		rendering, shots = t.GetPolicy().GetRendering(), int(t.GetPolicy().GetShots())
	}
	return func(yield func(asked) bool) {
		for state, step := range agent.Replay(t) {
			if !yield(asked{step, agent.Render(state, step.GetKind(), rendering, shots)}) {
				return
			}
		}
	}
}

// usable tells whether a step has such a candidate and the codec could read it.
func usable(step *pb.Step, candidate int32) bool {
	return candidate >= 0 && int(candidate) < len(step.GetCandidates()) &&
		step.GetCandidates()[candidate].GetParseError() == ""
}

// ErrSeveral means: several rankers or judges have spoken of a trajectory, and the options do not say whose word counts.
var ErrSeveral = errors.New("several have spoken")

// feedback is that of the ranker that counts, nil if there is none.
func (o Options) feedback(r *Record) (*pb.Feedback, error) {
	return only(r.Feedback, o.Ranker, (*pb.Feedback).GetRanker, "--ranker")
}

// verdict is that of the judge that counts, nil if there is none.
func (o Options) verdict(r *Record) (*pb.Verdict, error) {
	return only(r.Verdicts, o.Judge, (*pb.Verdict).GetJudge, "--judge")
}

func only[T any](all []*T, named string, name func(*T) string, flag string) (*T, error) {
	if named == "" && len(all) > 1 {
		var names []string
		for _, one := range all {
			names = append(names, name(one))
		}
		slices.Sort(names)
		return nil, fmt.Errorf("%w: %q; say with %s whose word counts", ErrSeveral, slices.Compact(names), flag)
	}
	for _, one := range all {
		if named == "" || name(one) == named {
			return one, nil
		}
	}
	return nil, nil
}

// ranking is what feedback says of a step, nil if nothing.
func ranking(f *pb.Feedback, step int32) *pb.StepRanking {
	for _, r := range f.GetSteps() {
		if r.GetStep() == step {
			return r
		}
	}
	return nil
}

// ranked is a step's usable completions as a ranker ordered them, best first, each once.
func ranked(step *pb.Step, r *pb.StepRanking) []string {
	var order []string
	for _, candidate := range r.GetRanking() {
		if !usable(step, candidate) {
			continue
		}
		if text := Completion(step.GetCandidates()[candidate].GetText()); !slices.Contains(order, text) {
			order = append(order, text)
		}
	}
	return order
}

// Reasons for which something has no place in a form.
const (
	leftFailed   = "failed trajectories"
	leftNoReplay = "trajectories that do not replay"
	leftUnranked = "steps that were not ranked"
	leftFallback = "steps whose ranking could not be read"
	leftAlike    = "steps with one distinct candidate"
	leftInferred = "steps that the imported text does not tell of"
)

// Tally counts what was written, and what was left out by reason.
type Tally struct {
	Records int64            `json:"records"`
	Lines   int64            `json:"lines"`
	LeftOut map[string]int64 `json:"left_out"`
}

func (t *Tally) leave(reason string, n int) {
	if n == 0 {
		return
	}
	if t.LeftOut == nil {
		t.LeftOut = map[string]int64{}
	}
	t.LeftOut[reason] += int64(n)
}

// Reasons lists why something was left out, most first.
func (t *Tally) Reasons() []string {
	var reasons []string
	for reason := range t.LeftOut {
		reasons = append(reasons, reason)
	}
	slices.SortFunc(reasons, func(a, b string) int {
		return cmp.Or(cmp.Compare(t.LeftOut[b], t.LeftOut[a]), cmp.Compare(a, b))
	})
	return reasons
}
