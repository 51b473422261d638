package pocket

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
	"github.com/ratchet-rl/ratchet/internal/pocket/reader"
	"github.com/ratchet-rl/ratchet/internal/pocket/token"
)

// endMark ends every completion that pocket was trained on: its end-of-text. It is part of the text unless it, or a
// part of it, is asked for as a stop.
const endMark = "# [END]"

// Fingerprints say in every response what it was that answered.
const (
	fingerprintPolicy = "pocket-tiny-transformer"
	fingerprintReader = "pocket-rule-based-reader"
)

// most bounds n, a guard against typing errors.
const most = 128

// serve wraps a handler of completions: readiness, decoding, metrics.
func (s *Server) serve(answer func(context.Context, *served, *completionRequest) (*completionResponse, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req completionRequest
		response, err := func() (*completionResponse, error) {
			if err := s.ready(); err != nil {
				return nil, err
			}
			if err := readJSON(w, r, &req); err != nil {
				return nil, err
			}
			if err := req.supported(); err != nil {
				return nil, err
			}
			m, err := s.find(req.Model)
			if err != nil {
				return nil, err
			}
			return answer(r.Context(), m, &req)
		}()
		if err != nil {
			s.count(req.Model, "error")
			writeError(w, err)
			return
		}
		s.count(req.Model, "ok")
		response.ID = fmt.Sprintf("%s-%d", strings.TrimSuffix(response.ID, "-"), s.serial.Add(1))
		response.Created, response.Model = time.Now().Unix(), req.Model
		writeJSON(w, http.StatusOK, response)
	}
}

// count counts a call; names that nobody serves share one label.
func (s *Server) count(model, status string) {
	if _, err := s.find(model); err != nil {
		model = "unknown"
	}
	s.calls.WithLabelValues(model, status).Inc()
}

// supported refuses what would otherwise be silently ignored.
func (r *completionRequest) supported() error {
	switch {
	case r.Stream:
		return badRequest("pocket does not stream: leave out `stream`.")
	case r.Echo:
		return badRequest("pocket does not echo: leave out `echo`.")
	case r.TopP != nil && *r.TopP != 1:
		return badRequest("pocket samples from the whole distribution: `top_p` must be 1.")
	case r.N != nil && (*r.N < 1 || *r.N > most):
		return badRequest("`n` must be between 1 and %d, got %d.", most, *r.N)
	case r.Temperature != nil && (*r.Temperature < 0 || *r.Temperature > 2):
		return badRequest("`temperature` must be between 0 and 2, got %g.", *r.Temperature)
	case r.limit() < 1:
		return badRequest("`max_tokens` must be at least 1, got %d.", r.limit())
	}
	return nil
}

// limit is the tokens to generate at most; 256 unless given.
func (r *completionRequest) limit() int {
	return *either(either(r.MaxTokens, r.MaxCompletionTokens), new(256))
}

// either is a, or b if a was not given.
func either[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// complete answers /v1/completions.
func (s *Server) complete(ctx context.Context, m *served, req *completionRequest) (*completionResponse, error) {
	var prompt string
	if err := json.Unmarshal(req.Prompt, &prompt); err != nil {
		return nil, badRequest("`prompt` must be one string: %v", err)
	}
	var top int
	if len(req.Logprobs) > 0 && string(req.Logprobs) != "null" {
		if err := json.Unmarshal(req.Logprobs, &top); err != nil {
			return nil, badRequest("`logprobs` must be a number: %v", err)
		}
	}
	outs, use, err := s.generate(ctx, m, req, prompt)
	if err != nil {
		return nil, err
	}
	response := &completionResponse{ID: "cmpl-", Object: "text_completion", Fingerprint: m.fingerprint(), Usage: use}
	for i, o := range outs {
		c := choice{Index: i, Text: &o.text, FinishReason: o.finish}
		if top > 0 && m.model != nil {
			c.Logprobs = o.completionLogprobs(len(prompt))
		}
		response.Choices = append(response.Choices, c)
	}
	return response, nil
}

// chat answers /v1/chat/completions: the contents of the messages are the prompt, without any template.
func (s *Server) chat(ctx context.Context, m *served, req *completionRequest) (*completionResponse, error) {
	if len(req.Messages) == 0 {
		return nil, badRequest("`messages` must hold at least one message.")
	}
	contents := make([]string, len(req.Messages))
	for i, msg := range req.Messages {
		contents[i] = msg.Content
	}
	outs, use, err := s.generate(ctx, m, req, strings.Join(contents, "\n"))
	if err != nil {
		return nil, err
	}
	response := &completionResponse{ID: "chatcmpl-", Object: "chat.completion", Fingerprint: m.fingerprint(), Usage: use}
	for i, o := range outs {
		c := choice{Index: i, Message: &message{Role: "assistant", Content: o.text}, FinishReason: o.finish}
		if string(req.Logprobs) == "true" && m.model != nil {
			c.Logprobs = o.chatLogprobs()
		}
		response.Choices = append(response.Choices, c)
	}
	return response, nil
}

func (m *served) fingerprint() string {
	if m.model == nil {
		return fingerprintReader
	}
	return fingerprintPolicy
}

// output is one continuation as text.
type output struct {
	text     string
	pieces   []string // the text of each token, in the end also of those that a stop cut off
	logprobs []float64
	finish   string
}

// generate continues a prompt with a model or lets the reader answer it.
func (s *Server) generate(ctx context.Context, m *served, req *completionRequest, prompt string) ([]output, usage, error) {
	if m.model == nil {
		return s.read(req, prompt)
	}
	tokens := m.vocabulary.Encode(prompt)
	switch limit := req.limit(); {
	case len(tokens) == 0:
		return nil, usage{}, badRequest("`prompt` must not be empty.")
	case len(tokens)+limit > m.model.Context:
		return nil, usage{}, badRequest("This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the "+
			"prompt, %d in the completion). Please reduce the length of the prompt or completion.",
			m.model.Context, len(tokens)+limit, len(tokens), limit)
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, usage{}, context.Cause(ctx)
	}
	samples, err := m.model.Generate(ctx, nn.Request{
		Prompt: tokens, N: *either(req.N, new(1)), Temperature: *either(req.Temperature, new(1.0)), MaxTokens: req.limit(),
		Seed: *either(req.Seed, new(rand.Int64())), Stop: stop(m.vocabulary, req.Stop),
	})
	if err != nil {
		return nil, usage{}, fmt.Errorf("generate: %w", err)
	}
	outs, use := make([]output, len(samples)), usage{PromptTokens: len(tokens)}
	for i, sample := range samples {
		outs[i] = m.output(sample, req)
		use.CompletionTokens += len(sample.Tokens)
	}
	use.TotalTokens = use.PromptTokens + use.CompletionTokens
	return outs, use, nil
}

// stop ends a continuation at any of the strings, and at endMark.
func stop(v *token.Vocabulary, stops []string) func([]int32) bool {
	return func(tokens []int32) bool {
		text := v.Decode(tokens)
		for _, stop := range stops {
			if strings.Contains(text, stop) {
				return true
			}
		}
		return strings.HasSuffix(text, endMark)
	}
}

func (m *served) output(sample nn.Sample, req *completionRequest) output {
	o := output{text: m.vocabulary.Decode(sample.Tokens), logprobs: sample.Logprobs, finish: "length"}
	for i := range sample.Tokens {
		o.pieces = append(o.pieces, m.vocabulary.Piece(sample.Tokens, i))
	}
	if sample.Stopped {
		o.finish = "stop"
		o.text = cut(o.text, req.Stop, req.IncludeStop)
	}
	return o
}

// cut ends a text before the first of the stops, or behind it.
func cut(text string, stops []string, include bool) string {
	end := len(text)
	for _, stop := range stops {
		if i := strings.Index(text, stop); i >= 0 && stop != "" {
			if include {
				i += len(stop)
			}
			end = min(end, i)
		}
	}
	return text[:end]
}

// read lets the rule-based reader answer, the same for every n.
func (s *Server) read(req *completionRequest, prompt string) ([]output, usage, error) {
	text := reader.Answer(prompt)
	use := usage{PromptTokens: len(strings.Fields(prompt))}
	outs := make([]output, *either(req.N, new(1)))
	for i := range outs {
		outs[i] = output{text: cut(text, req.Stop, req.IncludeStop), finish: "stop"}
		use.CompletionTokens += len(strings.Fields(text))
	}
	use.TotalTokens = use.PromptTokens + use.CompletionTokens
	return outs, use, nil
}

func (o *output) completionLogprobs(offset int) *completionLogprobs {
	l := &completionLogprobs{Tokens: o.pieces, TokenLogprobs: o.logprobs}
	for i, p := range o.pieces {
		l.TextOffset = append(l.TextOffset, offset)
		l.TopLogprobs = append(l.TopLogprobs, map[string]float64{p: o.logprobs[i]})
		offset += len(p)
	}
	return l
}

func (o *output) chatLogprobs() *chatLogprobs {
	l := &chatLogprobs{}
	for i, p := range o.pieces {
		bytes := make([]int, len(p))
		for j := range bytes {
			bytes[j] = int(p[j])
		}
		l.Content = append(l.Content, tokenLogprob{Token: p, Logprob: o.logprobs[i], Bytes: bytes, Top: []float64{}})
	}
	return l
}
