package llm

// probeReply is an answer as the server wrote it: decode makes all servers look alike.
type probeReply struct {
	Choices []probed `json:"choices"`
	Usage   struct {
		PromptTokens     int64 `json:"prompt_tokens"`
		CompletionTokens int64 `json:"completion_tokens"`
		Details          struct {
			Cached *int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	} `json:"usage"`
}

type probed struct {
	Text         string `json:"text"`
	Message      turn   `json:"message"`
	FinishReason string `json:"finish_reason"`
	Logprobs     *struct {
		Tokens        []string  `json:"tokens"`
		TokenLogprobs []logprob `json:"token_logprobs"`
		Content       []struct {
			Token   string  `json:"token"`
			Logprob logprob `json:"logprob"`
		} `json:"content"`
	} `json:"logprobs"`
}

func (c probed) text() string { return c.Text + c.Message.Content }

// shape is the form of the log-probabilities, empty where there are none.
func (c probed) shape() string {
	switch {
	case c.Logprobs == nil:
	case len(c.Logprobs.TokenLogprobs) > 0:
		return "in the form of completions"
	case len(c.Logprobs.Content) > 0:
		return "in the form of chat"
	}
	return ""
}

// first is the first token and its log-probability.
func (c probed) first() (string, float64, bool) {
	switch c.shape() {
	case "in the form of completions":
		if l := c.Logprobs.TokenLogprobs[0]; len(c.Logprobs.Tokens) > 0 && l.known {
			return c.Logprobs.Tokens[0], l.value, true
		}
	case "in the form of chat":
		first := c.Logprobs.Content[0]
		return first.Token, first.Logprob.value, first.Logprob.known
	}
	return "", 0, false
}
