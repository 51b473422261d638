package rank

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

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
func (j *judged) order(ctx context.Context, m config.Model, s *step) (*pb.StepRanking, *pb.Usage, error) {
	slots := shuffled(s)
	usage := &pb.Usage{}
	order, explanation, err := j.ask(ctx, m, s, slots, usage)
	switch {
	case errors.As(err, new(unreadable)):
		return &pb.StepRanking{
			Ranking: defaultOrder(s), Slots: slots, Explanation: err.Error(), RankedBy: pb.RankedBy_RANKED_BY_FALLBACK,
		}, usage, nil
	case err != nil:
		return nil, nil, err
	}
	ranking := make([]int32, len(order))
	for i, slot := range order {
		ranking[i] = slots[slot]
	}
	return &pb.StepRanking{Ranking: ranking, Slots: slots, Explanation: explanation, RankedBy: pb.RankedBy_RANKED_BY_RANKER}, usage, nil
}

// unreadable is a judge that gives no ranking.
type unreadable struct{ error }

// ask gets a ranking of the slots, at the second try if need be, and adds up what was paid for.
func (j *judged) ask(ctx context.Context, m config.Model, s *step, slots []int32, usage *pb.Usage) (order []int, explanation string, err error) {
	outputs := make([]string, len(slots))
	for i, candidate := range slots {
		outputs[i] = s.GetCandidates()[candidate].GetText()
	}
	prompt := judge.RankPrompt(s.prompt, outputs)
	for attempt, temperature := range []float64{0, retryTemperature} {
		var text string
		text, err = j.complete(ctx, m, prompt, temperature, seed(s, attempt), usage)
		if errors.Is(err, llm.ErrContextOverflow) {
			return nil, "", unreadable{fmt.Errorf("the judge cannot take the prompt: %w", err)}
		}
		if errors.Is(err, llm.ErrTooLong) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if order, explanation, err = judge.ParseRanking(text, len(slots)); err == nil {
			return order, explanation, nil
		}
	}
	return nil, "", unreadable{fmt.Errorf("the judge could not be read, twice: %w", err)}
}

// complete makes one call. While the endpoint is down it waits here, so that the steps that were ranked before are kept.
func (j *judged) complete(
	ctx context.Context, m config.Model, prompt string, temperature float64, seed int64, usage *pb.Usage,
) (string, error) {
	for {
		reply, err := j.model.Complete(ctx, llm.Request{
			Endpoint: m.Endpoint, Model: m.Model, API: api(m.API), Prompt: prompt, N: 1, Temperature: temperature,
			MaxTokens: m.MaxTokens, Seed: seed,
		})
		usage.Calls += reply.Calls
		usage.PromptTokens += reply.PromptTokens
		usage.CompletionTokens += reply.CompletionTokens
		switch {
		case err == nil:
			return reply.Choices[0].Text, nil
		case !worker.IsOutage(err):
			return "", err
		}
		if waited := j.model.Ready(ctx, m.Endpoint); waited != nil {
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
func seed(s *step, attempt int) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s, attempt %d", s.name, attempt))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 34)
}

// shuffled is the options in an order that derives from the step's name.
func shuffled(s *step) []int32 {
	sum := sha256.Sum256([]byte(s.name))
	random := rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])))
	slots := make([]int32, len(s.options))
	for i, j := range random.Perm(len(slots)) {
		slots[i] = s.options[j]
	}
	return slots
}
