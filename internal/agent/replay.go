package agent

import (
	"fmt"
	"iter"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Replay yields every step that was taken, with the state before it, results included. A failed last step, which chose
// nothing, is yielded too. What cannot be applied ends the sequence; Verify says why.
func Replay(t *pb.Trajectory) iter.Seq2[*State, *pb.Step] {
	return func(yield func(*State, *pb.Step) bool) {
		_ = replay(t, yield)
	}
}

func replay(t *pb.Trajectory, yield func(*State, *pb.Step) bool) error {
	s := NewState(t.GetQuestion(), t.GetLimits())
	for i, step := range t.GetSteps() {
		kind, going := s.Next()
		if !going || kind != step.GetKind() {
			return fmt.Errorf("step %d is a %s, want %s", i, step.GetKind(), kind)
		}
		if kind == pb.StepKind_STEP_KIND_SUMMARIZATION {
			s.resume(step.GetResults())
		}
		if !yield(s, step) {
			return nil
		}
		if step.GetChosen() < 0 {
			return nil
		}
		if err := s.Apply(step); err != nil {
			return err
		}
	}
	return nil
}

// Verify renders every prompt of a trajectory again and compares its hash with the recorded one.
func Verify(t *pb.Trajectory) error {
	var differs error
	err := replay(t, func(s *State, step *pb.Step) bool {
		differs = VerifyStep(s, step, t.GetPolicy())
		return differs == nil
	})
	if err == nil {
		err = differs
	}
	return err
}

// VerifyStep renders a step's prompt from the state before it and compares its hash with the recorded one.
func VerifyStep(s *State, step *pb.Step, p *pb.Policy) error {
	if step.GetKind() == pb.StepKind_STEP_KIND_SUMMARIZATION {
		s.resume(step.GetResults())
	}
	prompt := Render(s, step.GetKind(), p.GetRendering(), int(p.GetShots()))
	if have := promptHash(prompt); have != step.GetPromptSha256() {
		return fmt.Errorf("step %d: the prompt rendered by %s is not the one recorded by %s (hash %.12s, recorded %.12s)",
			step.GetIndex(), Template(step.GetKind()), step.GetTemplate(), have, step.GetPromptSha256())
	}
	return nil
}
