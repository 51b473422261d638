package rank

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/choice"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// elect asks up to most times, each time in another order, until more than half of the votes name the same best output.
func (q *question) elect(ctx context.Context, most int) (*pb.StepRanking, error) {
	r := &pb.StepRanking{RankedBy: pb.RankedBy_RANKED_BY_RANKER}
	reasons := map[int32]string{} // why which output is the best
	var unread error
	for n := range most {
		slots, temperature := q.Shuffled(n), retryTemperature
		if n == 0 {
			temperature = 0
		}
		ranking, explanation, err := q.reply(ctx, slots, temperature, seed(q.Name, n))
		switch {
		case errors.As(err, new(unreadable)) && !errors.Is(err, llm.ErrContextOverflow):
			unread = err
		case err != nil:
			return nil, err
		case reasons[ranking[0]] == "":
			reasons[ranking[0]] = explanation
		}
		r.Votes = append(r.Votes, &pb.Ballot{Slots: slots, Ranking: ranking})
		if _, decided := majority(r.Votes, most); decided {
			break
		}
	}
	r.Slots, r.Ranking = r.GetVotes()[0].GetSlots(), meanRank(r.GetVotes(), most)
	if len(r.GetRanking()) == 0 {
		return nil, unreadable{fmt.Errorf("the judge could not be read, %d times: %w", most, unread)}
	}
	r.Explanation = reasons[r.GetRanking()[0]]
	return r, nil
}

// majority is the output that more than half of all votes name as the best one.
func majority(votes []*pb.Ballot, most int) (best int32, decided bool) {
	count := map[int32]int{}
	for _, v := range votes {
		if len(v.GetRanking()) > 0 {
			best = v.GetRanking()[0]
			if count[best]++; count[best] > most/2 {
				return best, true
			}
		}
	}
	return 0, false
}

// meanRank orders by the mean of the ranks, ties as the first vote has them; what the majority names is the best.
func meanRank(votes []*pb.Ballot, most int) (order []int32) {
	sum := map[int32]int{}
	for _, v := range votes {
		if order == nil {
			order = slices.Clone(v.GetRanking())
		}
		for place, candidate := range v.GetRanking() {
			sum[candidate] += place
		}
	}
	if best, decided := majority(votes, most); decided {
		sum[best] = -1
	}
	slices.SortStableFunc(order, func(a, b int32) int { return sum[a] - sum[b] })
	return order
}

// swapped asks what was asked first once more, in reversed order. Nil if there was no answer to compare with.
func (q *question) swapped(ctx context.Context, r *pb.StepRanking) (*pb.Ballot, error) {
	if votes := r.GetVotes(); len(votes) > 0 && len(votes[0].GetRanking()) == 0 {
		return nil, nil
	}
	b := &pb.Ballot{Slots: slices.Clone(r.GetSlots())}
	slices.Reverse(b.Slots)
	var err error
	b.Ranking, _, err = q.reply(ctx, b.GetSlots(), 0, seed(q.Name+" swapped", 0))
	if err != nil && !errors.As(err, new(unreadable)) {
		return nil, err
	}
	return b, nil
}

// drawn tells whether a step is in a sample of that share; it derives from the step's name.
func drawn(s *choice.Step, share float64) bool {
	sum := sha256.Sum256([]byte(s.Name + " swap"))
	return float64(binary.BigEndian.Uint64(sum[:8]))/math.MaxUint64 < share
}
