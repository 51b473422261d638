package evaluate

import (
	"context"
	"errors"
	"fmt"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/judge"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// opinion is what the judge thinks of one text. One that could not be had for the judge's own fault has a class
// and is not right.
type opinion struct {
	right       bool
	explanation string
	failure     pb.FailureClass
	reason      string
	votes       *pb.Votes // nil where one answer was asked for
}

// retryTemperature is what a judge is asked again at: at 0 it would say the same.
const retryTemperature = 0.7

// opinion asks the judge, and adds what it cost to usage.
func (j *judging) opinion(ctx context.Context, spec config.Run, prompt string, usage *pb.Usage) (opinion, error) {
	ask := func(n int) (right bool, explanation string, err error) {
		temperature := retryTemperature
		if n == 0 {
			temperature = 0
		}
		text, err := j.complete(ctx, spec.Judge, prompt, temperature, int64(n), usage)
		if err != nil {
			return false, "", err
		}
		if right, explanation, err = judge.ParseVerdict(text); err != nil {
			return false, "", unreadable{err}
		}
		return right, explanation, nil
	}
	if spec.Judging.Votes > 1 {
		return vote(spec.Judging.Votes, ask)
	}
	return once(ask)
}

// unreadable is a reply without a verdict.
type unreadable struct{ error }

func isUnreadable(err error) bool {
	return errors.As(err, new(unreadable)) || errors.Is(err, llm.ErrTooLong)
}

// noRoom is the opinion of a judge that cannot take the answer.
var noRoom = opinion{
	failure: pb.FailureClass_FAILURE_CLASS_CONTEXT_OVERFLOW,
	reason:  "wrong: judge unreadable: the answer does not fit the judge's context",
}

// once asks a second time if the first reply cannot be read.
func once(ask func(n int) (right bool, explanation string, err error)) (opinion, error) {
	var unread error
	for n := range 2 {
		right, explanation, err := ask(n)
		switch {
		case err == nil:
			return opinion{right: right, explanation: explanation}, nil
		case errors.Is(err, llm.ErrContextOverflow):
			return noRoom, nil
		case !isUnreadable(err):
			return opinion{}, err
		}
		unread = err
	}
	return opinion{failure: pb.FailureClass_FAILURE_CLASS_UNPARSABLE, reason: fmt.Sprintf("wrong: judge unreadable, twice: %v", unread)}, nil
}

// vote asks up to most times, until more than half of the votes agree. What cannot be read is no vote; where in the end as
// many say right as wrong, the answer is not right, for want of a verdict.
func vote(most int, ask func(n int) (right bool, explanation string, err error)) (opinion, error) {
	votes, why := &pb.Votes{}, map[bool]string{}
	for n := 0; n < most && int(max(votes.Right, votes.Wrong)) <= most/2; n++ {
		right, explanation, err := ask(n)
		switch {
		case errors.Is(err, llm.ErrContextOverflow):
			return noRoom, nil
		case isUnreadable(err):
			votes.Unreadable++
			continue
		case err != nil:
			return opinion{}, err
		case right:
			votes.Right++
		default:
			votes.Wrong++
		}
		if why[right] == "" {
			why[right] = explanation
		}
	}
	if votes.Right == votes.Wrong {
		return opinion{
			failure: pb.FailureClass_FAILURE_CLASS_UNPARSABLE, votes: votes,
			reason: fmt.Sprintf("wrong: judge undecided: of %d votes %d say right, %d wrong, %d cannot be read", most, votes.GetRight(), votes.GetWrong(), votes.GetUnreadable()),
		}, nil
	}
	right := votes.GetRight() > votes.GetWrong()
	return opinion{right: right, explanation: why[right], votes: votes}, nil
}
