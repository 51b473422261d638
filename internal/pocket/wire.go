package pocket

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// The wire of an OpenAI-compatible server, as far as pocket speaks it.

// completionRequest is the body of /v1/completions and, with Messages instead of Prompt, of /v1/chat/completions.
type completionRequest struct {
	Model               string          `json:"model"`
	Prompt              json.RawMessage `json:"prompt"`
	Messages            []message       `json:"messages"`
	N                   *int            `json:"n"`
	Temperature         *float64        `json:"temperature"`
	TopP                *float64        `json:"top_p"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	Stop                stopList        `json:"stop"`
	IncludeStop         bool            `json:"include_stop_str_in_output"`
	Seed                *int64          `json:"seed"`
	Logprobs            json.RawMessage `json:"logprobs"`
	Stream              bool            `json:"stream"`
	Echo                bool            `json:"echo"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// stopList is a string or a list of strings.
type stopList []string

func (s *stopList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		if *s = nil; one != "" {
			*s = stopList{one}
		}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(s))
}

type completionResponse struct {
	ID          string   `json:"id"`
	Object      string   `json:"object"`
	Created     int64    `json:"created"`
	Model       string   `json:"model"`
	Fingerprint string   `json:"system_fingerprint"`
	Choices     []choice `json:"choices"`
	Usage       usage    `json:"usage"`
}

// choice has a Text in a completion and a Message in a chat; Logprobs is *completionLogprobs or *chatLogprobs.
type choice struct {
	Index        int      `json:"index"`
	Text         *string  `json:"text,omitempty"`
	Message      *message `json:"message,omitempty"`
	Logprobs     any      `json:"logprobs"`
	FinishReason string   `json:"finish_reason"`
}

type completionLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []float64            `json:"token_logprobs"`
	TextOffset    []int                `json:"text_offset"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
}

type chatLogprobs struct {
	Content []tokenLogprob `json:"content"`
}

type tokenLogprob struct {
	Token   string    `json:"token"`
	Logprob float64   `json:"logprob"`
	Bytes   []int     `json:"bytes"`
	Top     []float64 `json:"top_logprobs"`
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// refusal is an error with the HTTP status that it is answered with.
type refusal struct {
	status  int
	kind    string
	message string
}

func (r *refusal) Error() string { return r.message }

func badRequest(format string, args ...any) error {
	return &refusal{http.StatusBadRequest, "BadRequestError", fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &refusal{http.StatusNotFound, "NotFoundError", fmt.Sprintf(format, args...)}
}

func unavailable(format string, args ...any) error {
	return &refusal{http.StatusServiceUnavailable, "ServiceUnavailableError", fmt.Sprintf(format, args...)}
}

// writeError answers with vLLM's form of an error.
func writeError(w http.ResponseWriter, err error) {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{http.StatusInternalServerError, "InternalServerError", err.Error()}
	}
	if r.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, r.status, map[string]any{"error": map[string]any{
		"message": r.message, "type": r.kind, "param": nil, "code": r.status,
	}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // the client has gone: nobody is left to be told
}

// maxBody bounds a request, in bytes.
const maxBody = 4 << 20

func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(v); err != nil {
		return badRequest("read the request as JSON: %v", err)
	}
	return nil
}
