package rank

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ratchet-rl/ratchet/internal/choice"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/judge"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// retryTemperature is what an unreadable judge is asked again at: at 0 it would say the same.
const retryTemperature = 0.7

// putOff is how long a trajectory is left alone when its judge's endpoint is not there.
const putOff = 10 * time.Second

// client of the judge's endpoint.
type client interface {
	Complete(ctx context.Context, r llm.Request) (llm.Response, error)
	// Ready blocks while the endpoint is known to be down.
	Ready(ctx context.Context, endpoint string) error
}

// judged asks the run's judge (paper, 2.3: zero-shot; the ranks matter, not the scores).
type judged struct{ model client }

func (*judged) describe(m config.Model) (prompt, model string) { return judge.RankVersion, m.Model }

// order shows the options in a shuffled order and undoes the shuffle.
func (j *judged) order(ctx context.Context, spec config.Run, s *choice.Step) (*pb.StepRanking, *pb.Usage, error) {
	q := &question{judged: j, Step: s, model: spec.Judge, usage: &pb.Usage{}}
	ask := q.once
	if spec.Judging.Votes > 1 {
		ask = func(ctx context.Context) (*pb.StepRanking, error) { return q.elect(ctx, spec.Judging.Votes) }
	}
	ranking, err := ask(ctx)
	switch {
	case errors.As(err, new(unreadable)):
		return &pb.StepRanking{
			Ranking: defaultOrder(s), Slots: s.Shuffled(0), Explanation: err.Error(), RankedBy: pb.RankedBy_RANKED_BY_FALLBACK,
		}, q.usage, nil
	case err == nil && drawn(s, spec.Judging.Swap):
		ranking.Swapped, err = q.swapped(ctx, ranking)
	}
	if err != nil {
		return nil, nil, err
	}
	return ranking, q.usage, nil
}

// unreadable is a judge that gives no ranking.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

// question is one step put to the judge, and what its answers have cost.
type question struct {
	*judged
	*choice.Step

	model config.Model
	usage *pb.Usage
}

// once gets a ranking, at the second try if need be.
func (q *question) once(ctx context.Context) (*pb.StepRanking, error) {
	slots := q.Shuffled(0)
	var unread error
	for attempt, temperature := range []float64{0, retryTemperature} {
		ranking, explanation, err := q.reply(ctx, slots, temperature, seed(q.Name, attempt))
		switch {
		case err == nil:
			return &pb.StepRanking{Ranking: ranking, Slots: slots, Explanation: explanation, RankedBy: pb.RankedBy_RANKED_BY_RANKER}, nil
		case errors.Is(err, llm.ErrContextOverflow), !errors.As(err, new(unreadable)):
			return nil, err
		}
		unread = err
	}
	return nil, unreadable{fmt.Errorf("the judge could not be read, twice: %w", unread)}
}

// reply makes one call and reads the ranking of candidates. One that cannot be read is unreadable.
func (q *question) reply(ctx context.Context, slots []int32, temperature float64, seed int64) (ranking []int32, explanation string, err error) {
	outputs := make([]string, len(slots))
	for i, candidate := range slots {
		outputs[i] = q.GetCandidates()[candidate].GetText()
	}
	text, err := q.complete(ctx, judge.RankPrompt(q.Prompt, outputs), temperature, seed)
	switch {
	case errors.Is(err, llm.ErrContextOverflow):
		return nil, "", unreadable{fmt.Errorf("the judge cannot take the prompt: %w", err)}
	case errors.Is(err, llm.ErrTooLong):
		return nil, "", unreadable{err}
	case err != nil:
		return nil, "", err
	}
	order, explanation, err := judge.ParseRanking(text, len(slots))
	if err != nil {
		return nil, "", unreadable{err}
	}
	for _, slot := range order {
		ranking = append(ranking, slots[slot])
	}
	return ranking, explanation, nil
}

// complete makes one call, and adds up what was paid for. While the endpoint is down it waits here, so that the steps that
// were ranked before are kept.
func (q *question) complete(ctx context.Context, prompt string, temperature float64, seed int64) (string, error) {
	for {
		reply, err := q.judged.model.Complete(ctx, llm.Request{
			Endpoint: q.model.Endpoint, Endpoints: q.model.Endpoints, Context: int64(q.model.Context), Model: q.model.Model,
			API: api(q.model.API), Prompt: prompt, N: 1, Temperature: temperature, MaxTokens: q.model.MaxTokens, Seed: seed,
		})
		q.usage.Calls += reply.Calls
		q.usage.PromptTokens += reply.PromptTokens
		q.usage.CompletionTokens += reply.CompletionTokens
		switch {
		case err == nil:
			return reply.Choices[0].Text, nil
		case !worker.IsOutage(err):
			return "", err
		}
		if waited := q.judged.model.Ready(ctx, q.model.Endpoint); waited != nil {
			return "", worker.Later(putOff, err)
		}
	}
}

func api(name string) pb.Api {
	if name == "completions" {
		return pb.Api_API_COMPLETIONS
	}
	return pb.Api_API_CHAT
}

// seed derives from the step's name, so that a repeated call asks for the same text. It keeps to 30 bits: some servers
// take 32.
func seed(name string, attempt int) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s, attempt %d", name, attempt))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 34)
}
