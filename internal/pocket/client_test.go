package pocket

import (
	"errors"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// The system's own client sees what it needs of a server: N choices with log-probabilities, seeds that count up, the
// stop marker back in its place, an overflow that it knows.
func TestOurClient(t *testing.T) {
	t.Parallel()
	_, url := readyServer(t)
	c := llm.New(config.Default().LLM, nil, nil)
	r := llm.Request{
		Endpoint: url + "/v1", Model: ModelOwn, API: pb.Api_API_COMPLETIONS, Prompt: somePrompt, N: 4, Temperature: 1,
		MaxTokens: 40, Stop: []string{endMark}, Seed: 9, Logprobs: true,
	}
	four, err := c.Complete(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if len(four.Choices) != 4 || four.Calls != 1 {
		t.Fatalf("%d choices in %d calls", len(four.Choices), four.Calls)
	}
	for i, choice := range four.Choices {
		if !choice.HasLogprob || choice.MeanLogprob >= 0 || (choice.FinishReason == "stop") != strings.HasSuffix(choice.Text, endMark) {
			t.Errorf("choice %d: %+v", i, choice)
		}
		single := r
		single.N, single.Seed = 1, r.Seed+int64(i)
		if one, err := c.Complete(t.Context(), single); err != nil || one.Choices[0] != choice {
			t.Errorf("choice %d alone: %+v %v, together %+v", i, one.Choices, err, choice)
		}
	}
	r.Prompt = strings.Repeat("born ", 200)
	if _, err := c.Complete(t.Context(), r); !errors.Is(err, llm.ErrContextOverflow) {
		t.Errorf("a long prompt: %v", err)
	}
}
