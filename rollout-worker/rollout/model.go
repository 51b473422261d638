package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/llm"
	"github.com/ratchet-rl/ratchet/internal/search"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// policyModel is a policy as the agent's model.
type policyModel struct {
	client   completer
	policy   *pb.Policy
	affinity string
}

// Sample makes one call.
func (m *policyModel) Sample(ctx context.Context, r agent.Request) (agent.Samples, error) {
	reply, err := m.client.Complete(ctx, llm.Request{
		Endpoint: m.policy.GetEndpoint(), Endpoints: m.policy.GetEndpoints(), Context: m.policy.GetContext(), Model: m.policy.GetModel(), API: m.policy.GetApi(), Prompt: r.Prompt, N: r.N,
		Temperature: r.Temperature, MaxTokens: r.MaxTokens, Stop: []string{r.Stop}, Seed: r.Seed, Logprobs: true,
		Affinity: r.Affinity + "." + m.affinity, Grammar: r.Grammar,
	})
	if errors.Is(err, llm.ErrContextOverflow) {
		return agent.Samples{}, fmt.Errorf("%w: %w", agent.ErrContextOverflow, err)
	}
	if errors.Is(err, llm.ErrTooLong) {
		return agent.Samples{Calls: reply.Calls}, fmt.Errorf("%w: %w", agent.ErrTooLong, err)
	}
	if err != nil {
		return agent.Samples{}, err
	}
	samples := agent.Samples{PromptTokens: reply.PromptTokens, CompletionTokens: reply.CompletionTokens, Calls: reply.Calls}
	for _, c := range reply.Choices {
		samples.Samples = append(samples.Samples, agent.Sample{
			Text: c.Text, Tokens: c.Tokens, MeanLogprob: c.MeanLogprob, HasLogprob: c.HasLogprob, FinishReason: c.FinishReason,
		})
	}
	return samples, nil
}

// toolbox opens each run's search tool once.
type toolbox struct {
	open func(ctx context.Context, tool config.SearchTool) (search.Searcher, error)

	mu    sync.Mutex // guards tools, and is held while one opens: the others would need it too
	tools map[string]search.Searcher
}

func newToolbox(open func(context.Context, config.SearchTool) (search.Searcher, error)) *toolbox {
	return &toolbox{open: open, tools: map[string]search.Searcher{}}
}

func (b *toolbox) get(ctx context.Context, tool config.SearchTool) (search.Searcher, error) {
	key := fmt.Sprintf("%+v", tool) // maps print in the order of their keys
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.tools[key]; ok {
		return s, nil
	}
	s, err := b.open(ctx, tool)
	if err == nil {
		b.tools[key] = s
	}
	return s, err
}
