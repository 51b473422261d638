package interchange

import (
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Pairs says which of a step's ranked candidates are shown against each other.
type Pairs string

// The pairs of a ranking of n: one, n-1, or n(n-1)/2.
const (
	BestWorst Pairs = "best-worst"
	Adjacent  Pairs = "adjacent"
	AllPairs  Pairs = "all"
)

// preferenceLine is TRL's preference with an explicit prompt (trl: docs/source/dataset_formats.md, trl/data_utils.py): three texts.
type preferenceLine struct {
	Prompt   string `json:"prompt"`
	Chosen   string `json:"chosen"`
	Rejected string `json:"rejected"`
	Origin
}

// ranked calls fn for every step that a ranker has put into an order of two or more. An order that the ranker fell back to
// is no judgement.
func (e *Encoder) ranked(r *Record, fn func(step asked, from Origin, order []string) error) error {
	feedback, err := e.options.feedback(r)
	if err != nil {
		return err
	}
	return e.eachStep(r.Trajectory, func(step asked) error {
		said := ranking(feedback, step.GetIndex())
		order := ranked(step.Step, said)
		switch {
		case step.GetSelectedBy() == Inferred:
			e.tally.leave(leftInferred, 1)
		case len(order) == 0:
			e.tally.leave(leftUnranked, 1)
		case said.GetRankedBy() == pb.RankedBy_RANKED_BY_FALLBACK:
			e.tally.leave(leftFallback, 1)
		case len(order) == 1:
			e.tally.leave(leftAlike, 1)
		default:
			return fn(step, OriginOf(r.Trajectory, step.Step), order)
		}
		return nil
	})
}

// pairs writes a step's pairs, the better candidates' first.
func (e *Encoder) pairs(step asked, from Origin, order []string) error {
	for better := range order {
		for worse := better + 1; worse < len(order); worse++ {
			switch {
			case e.options.Pairs == AllPairs:
			case e.options.Pairs == Adjacent && worse == better+1:
			case e.options.Pairs != Adjacent && better == 0 && worse == len(order)-1:
			default:
				continue
			}
			if err := e.line(preferenceLine{step.prompt, order[better], order[worse], from}); err != nil {
				return err
			}
		}
	}
	return nil
}
