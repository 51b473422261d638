package llm

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// counting is how a server counts tokens: POST /tokenize beside /v1, with the text under its name for it (vLLM "Tokenizer
// API", llama.cpp tools/server/README).
type counting struct{ text string }

// countTokens asks the server how many tokens a text is.
func (c *Client) countTokens(ctx context.Context, e *endpoint, d dialect, model, text string) (int64, error) {
	data, err := json.Marshal(map[string]any{"model": model, d.counts.text: text, "add_special": true})
	if err != nil {
		return 0, err
	}
	body, err := c.send(ctx, e, strings.TrimSuffix(e.url, "/v1")+"/tokenize", "", data, min(c.cfg.Timeout, modelsTimeout))
	if err != nil {
		return 0, err
	}
	var reply struct {
		Count  int64             `json:"count"`  // vLLM
		Tokens []json.RawMessage `json:"tokens"` // both
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return 0, &Error{Endpoint: e.name, Kind: KindGarbage, Err: fmt.Errorf("want a JSON list of tokens, have %q: %w", excerpt(body), err)}
	}
	return max(reply.Count, int64(len(reply.Tokens))), nil
}

// context is how many tokens a model takes, as the server says; of a model that it does not list (an adapter that was
// loaded since, an alias) the smallest that it lists. 0: it does not say.
func (d dialect) context(name string) int64 {
	smallest := int64(0)
	for _, m := range d.listed {
		n := max(m.MaxModelLen, m.Meta.Context)
		if m.ID == name && n > 0 {
			return n
		}
		if n > 0 && (smallest == 0 || n < smallest) {
			smallest = n
		}
	}
	return smallest
}

// Bytes per token, as long as usage has not told better: no text that Ratchet renders has more, or fewer.
const (
	mostBytes  = 8.0
	leastBytes = 1.0
)

// scale is what usage has said of the bytes per token of one model's prompts.
type scale struct {
	seen        int
	least, most float64
}

const (
	// enough prompts make a scale.
	enough = 8
	// slack is how far beyond what was seen a prompt may lie that was read whole.
	slack = 1.3
)

// learn takes one reply's usage.
func (s *scale) learn(bytes int, tokens int64) {
	each := float64(bytes) / float64(tokens)
	if s.seen == 0 {
		s.least, s.most = each, each
	}
	s.seen, s.least, s.most = s.seen+1, min(s.least, each), max(s.most, each)
}

// bounds are the fewest and the most tokens that a text may be.
func (s *scale) bounds(bytes int) (fewest, most int64) {
	dense, thin := mostBytes, leastBytes
	if s.seen >= enough {
		dense, thin = s.most*slack, s.least/slack
	}
	return int64(float64(bytes) / dense), int64(float64(bytes)/thin) + 1
}

// cut says that a server must have read less than the prompt.
func (s *scale) cut(bytes int, tokens int64) bool {
	return s.seen >= enough && float64(bytes) > float64(tokens)*s.most*slack
}

func (e *endpoint) bounds(model string, bytes int) (fewest, most int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.scales[model]
	return s.bounds(bytes)
}

// fits is ErrContextOverflow for a prompt that is longer than the model takes: by the server's own count where the
// estimate leaves a doubt and the server counts; by the estimate alone only where the fewest tokens that the prompt may
// be are too many. What is still in doubt is sent, and the server judges.
func (c *Client) fits(ctx context.Context, e *endpoint, r Request) error {
	d := c.dialectOf(ctx, e)
	limit := d.limit(r)
	if limit == 0 {
		return nil
	}
	need := int64(1)
	if d.reserves {
		need = int64(r.MaxTokens)
	}
	fewest, most := e.bounds(r.Model, len(r.Prompt))
	if most+need <= limit {
		return nil
	}
	how := "an estimate of at least"
	if d.counts != nil {
		if n, err := c.countTokens(ctx, e, d, r.Model, r.Prompt); err == nil {
			fewest, how = n, "the server's count of"
		}
	}
	if fewest+need <= limit {
		return nil
	}
	return fmt.Errorf("endpoint %s: %w: by %s %d tokens, and %d more for the output, of %d", e.name, ErrContextOverflow, how, fewest, need, limit)
}

// whole is ErrContextOverflow where usage shows that the server has cut the prompt and said nothing (Ollama does); else
// the estimate learns from it.
func (e *endpoint) whole(r Request, out Response) error {
	if out.PromptTokens <= 0 || r.Prompt == "" {
		return nil
	}
	tokens := out.PromptTokens / max(out.Calls, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.scales[r.Model]
	if s.cut(len(r.Prompt), tokens) {
		fewest, _ := s.bounds(len(r.Prompt))
		return fmt.Errorf("endpoint %s: %w: it has read %d tokens of a prompt of at least %d, and does not say that it cut it; say its context in the run file", e.name, ErrContextOverflow, tokens, fewest)
	}
	s.learn(len(r.Prompt), tokens)
	e.scales[r.Model] = s
	return nil
}

// Tokens counts a prompt's tokens: exactly where the server can, else by an estimate that is rather too high.
func (c *Client) Tokens(ctx context.Context, r Request) (n int64, exact bool, err error) {
	e, err := c.endpoint(r.Endpoint)
	if err != nil {
		return 0, false, err
	}
	if d := c.dialectOf(ctx, e); d.counts != nil {
		n, err = c.countTokens(ctx, e, d, r.Model, r.Prompt)
		return n, err == nil, err
	}
	fewest, most := e.bounds(r.Model, len(r.Prompt))
	return (fewest + most) / 2, false, nil
}

// Context is how many tokens prompt and output may have together; 0 if nobody has said.
func (c *Client) Context(ctx context.Context, r Request) int64 {
	e, err := c.endpoint(r.Endpoint)
	if err != nil {
		return r.Context
	}
	return c.dialectOf(ctx, e).limit(r)
}

func (d dialect) limit(r Request) int64 {
	limit := d.context(r.Model)
	if r.Context > 0 && (limit == 0 || r.Context < limit) {
		return r.Context
	}
	return limit
}
