package retention

import (
	"errors"
	"iter"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

type messageSeq = iter.Seq2[*bus.Message, error]

func isGone(err error) bool { return errors.Is(err, blob.ErrNotFound) }

// claimed are the URIs of the large events that a message points at, itself or in the dead letter that it is.
func claimed(ev *pb.Event) []string {
	var all []string
	for ; ev != nil; ev = lettered(ev) {
		if claim := ev.GetClaim(); claim != nil {
			all = append(all, claim.GetUri())
		}
	}
	return all
}

// lettered is the event within a dead letter, nil if there is none.
func lettered(ev *pb.Event) *pb.Event {
	inner, err := bus.Decode("", ev.GetDeadLetter().GetPayload())
	if err != nil || ev.GetDeadLetter() == nil {
		return nil
	}
	return inner
}

// noteMade notes what the bridge has made for the run, by the names of its folders.
func (p *Plan) noteMade(ev *pb.Event) {
	note := func(names *[]string, name string) {
		if name != "" && !slices.Contains(*names, name) {
			*names = append(*names, name)
		}
	}
	note(&p.pruned.Mixtures, ev.GetMixture().GetId())
	note(&p.pruned.Jobs, ev.GetJob().GetName())
	note(&p.pruned.Jobs, ev.GetCheckpoint().GetJob())
	note(&p.pruned.Checkpoints, ev.GetCheckpoint().GetId())
}
