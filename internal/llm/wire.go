package llm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// body is a request in the form of completions or chat.
type body struct {
	Model               string   `json:"model"`
	Prompt              *string  `json:"prompt,omitempty"`
	Messages            []turn   `json:"messages,omitempty"`
	N                   int      `json:"n"`
	Temperature         float64  `json:"temperature"`
	MaxTokens           int      `json:"max_tokens,omitempty"`
	MaxCompletionTokens int      `json:"max_completion_tokens,omitempty"`
	Stop                []string `json:"stop,omitempty"`
	Seed                int64    `json:"seed"`
	Logprobs            any      `json:"logprobs,omitempty"`
	*neutral
	*constraint
}

type turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func encode(r Request, n int, seed int64, d dialect) ([]byte, error) {
	b := body{
		Model: r.Model, N: n, Temperature: r.Temperature, MaxTokens: r.MaxTokens, Stop: r.Stop, Seed: seed, neutral: d.neutral,
	}
	if r.Grammar != "" {
		b.constraint = d.constrain(r.Grammar)
	}
	switch {
	case r.API != pb.Api_API_CHAT:
		b.Prompt = &r.Prompt
		if r.Logprobs {
			b.Logprobs = 1
		}
	default:
		b.Messages = []turn{{Role: "user", Content: r.Prompt}}
		if r.Logprobs {
			b.Logprobs = true
		}
		if d.completionTokens {
			b.MaxTokens, b.MaxCompletionTokens = 0, r.MaxTokens
		}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(b)
	return out.Bytes(), err
}

func path(api pb.Api) string {
	if api == pb.Api_API_CHAT {
		return "/chat/completions"
	}
	return "/completions"
}

// reply is either form's answer.
type reply struct {
	Choices []choice `json:"choices"`
	Usage   struct {
		PromptTokens     int64 `json:"prompt_tokens"`
		CompletionTokens int64 `json:"completion_tokens"`
	} `json:"usage"`
}

type choice struct {
	Index   int     `json:"index"`
	Text    *string `json:"text"`
	Message *struct {
		Content string `json:"content"`
	} `json:"message"`
	FinishReason string `json:"finish_reason"`
	// Logprobs come in either shape on either route.
	Logprobs *struct {
		TokenLogprobs []logprob `json:"token_logprobs"`
		Content       []struct {
			Logprob logprob `json:"logprob"`
		} `json:"content"`
	} `json:"logprobs"`
}

// logprob of one token, which may be unknown. An absent or null one must not become 0, which means certain.
type logprob struct {
	value float64
	known bool
}

// unlikely is below any log-probability of a sampled token: servers write -9999 for "none".
const unlikely = -9000

// UnmarshalJSON reads a number or null.
func (l *logprob) UnmarshalJSON(data []byte) error {
	*l = logprob{}
	if string(data) == "null" {
		return nil
	}
	value, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return fmt.Errorf("log-probability %s: want a number or null", data)
	}
	l.value, l.known = value, value > unlikely
	return nil
}

var errNoChoices = errors.New("no choices in the reply")

func decode(data []byte, stop []string) (Response, error) {
	var r reply
	if err := json.Unmarshal(data, &r); err != nil {
		return Response{}, fmt.Errorf("want a JSON completion, have %q: %w", excerpt(data), err)
	}
	if len(r.Choices) == 0 {
		return Response{}, fmt.Errorf("%w: %q", errNoChoices, excerpt(data))
	}
	slices.SortStableFunc(r.Choices, func(a, b choice) int { return cmp.Compare(a.Index, b.Index) })
	out := Response{
		Choices: make([]Choice, 0, len(r.Choices)), Calls: 1,
		PromptTokens: r.Usage.PromptTokens, CompletionTokens: r.Usage.CompletionTokens,
	}
	for _, c := range r.Choices {
		if c.Text == nil && c.Message == nil {
			return Response{}, fmt.Errorf("a choice with neither text nor message: %q", excerpt(data)) // no answer of a model, not even an empty one
		}
		out.Choices = append(out.Choices, c.read(stop))
	}
	out.countTokens()
	return out, nil
}

// isCompletion says whether the beginning of a reply is that of a completion, so that the model wrote what follows: an
// endless reply of a broken proxy is no output.
func isCompletion(data []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(data))
	for depth := 0; ; {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		case "choices":
			if depth == 1 {
				return true
			}
		}
	}
}

func (c choice) read(stop []string) Choice {
	out := Choice{FinishReason: c.FinishReason}
	if c.Message != nil {
		out.Text = c.Message.Content
	} else if c.Text != nil {
		out.Text = *c.Text
	}
	if c.FinishReason == "stop" && len(stop) > 0 {
		out.Text = restore(out.Text, stop[0])
	}
	if c.Logprobs != nil {
		all := c.Logprobs.TokenLogprobs
		for _, token := range c.Logprobs.Content {
			all = append(all, token.Logprob)
		}
		out.Tokens = len(all)
		out.MeanLogprob, out.HasLogprob = mean(all)
	}
	return out
}

// countTokens fills in whichever count the server left out: the choices' or the usage. llama.cpp's usage counts one of
// several choices only.
func (r *Response) countTokens() {
	counted := int64(0)
	for i := range r.Choices {
		if r.Choices[i].Tokens == 0 {
			r.Choices[i].Tokens = int(r.CompletionTokens) / len(r.Choices)
		}
		counted += int64(r.Choices[i].Tokens)
	}
	r.CompletionTokens = max(r.CompletionTokens, counted)
}

// mean over the tokens whose log-probability is known.
func mean(all []logprob) (mean float64, ok bool) {
	sum, n := 0.0, 0
	for _, l := range all {
		if l.known {
			sum, n = sum+l.value, n+1
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / float64(n), true
}

// restore puts back the stop marker, which servers remove, as the action grammar writes it: after two blanks.
func restore(text, stop string) string {
	text = strings.TrimRight(text, " \t\r\n")
	if strings.HasSuffix(text, stop) {
		return text
	}
	return text + "  " + stop
}
