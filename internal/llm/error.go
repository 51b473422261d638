package llm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// ErrContextOverflow means: the prompt is longer than the model takes. Trying again does not help.
var ErrContextOverflow = errors.New("the prompt exceeds the model's context length")

// ErrNoGrammar means: this server is not known to keep outputs to a grammar.
var ErrNoGrammar = errors.New("the server does not say that it is one that decodes by a grammar (llama.cpp, vLLM, SGLang); set policy.decoding to free")

// ErrTooLong means: the model has answered, with more than llm.max_reply. It would again.
var ErrTooLong = errors.New("the reply is larger than llm.max_reply")

// Kinds of failure.
const (
	KindDown    = "down"    // refused, reset, no such host
	KindTimeout = "timeout" // no reply in time
	KindBusy    = "busy"    // 429, 503
	KindServer  = "server"  // other 5xx
	KindRequest = "request" // other 4xx: the server will not take this request
	KindQuota   = "quota"   // out of money
	KindGarbage = "garbage" // a reply that is none
	KindLong    = "long"    // ErrTooLong
)

// Error is an endpoint's failure after all tries.
type Error struct {
	Endpoint string
	Kind     string
	Status   int // 0 without a reply
	Tries    int
	Elapsed  time.Duration
	Err      error

	after time.Duration // the server's Retry-After
}

func (e *Error) Error() string {
	tries := "1 try"
	if e.Tries > 1 {
		tries = fmt.Sprintf("%d tries", e.Tries)
	}
	return fmt.Sprintf("endpoint %s: %s (%s, %s): %v%s", e.Endpoint, e.Kind, tries, e.Elapsed.Round(time.Millisecond), e.Err, e.remedy())
}

// remedy is what a person can do.
func (e *Error) remedy() string {
	switch {
	case e.Kind == KindDown:
		return "; start the server or correct the endpoint, the run goes on by itself"
	case e.Kind == KindTimeout:
		return "; the server hangs or is too slow: lower max_tokens or the slots, or raise llm.timeout"
	case e.Kind == KindBusy:
		return "; lower the slots or wait, the run goes on by itself"
	case e.Kind == KindQuota:
		return "; the account is out of quota: pay, then the run goes on"
	case e.Kind == KindGarbage:
		return "; is it an OpenAI-compatible server, and does the URL end in /v1?"
	case e.Kind == KindLong:
		return "; does the server heed max_tokens? Lower max_tokens or the candidates, or raise llm.max_reply"
	case e.Status == http.StatusNotFound:
		return "; is the model's name right, is it loaded, does the URL end in /v1?"
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return "; set llm.key_file or llm.key_files"
	}
	return ""
}

// Outage says whether the endpoint is not there, or has no capacity: that is nobody's attempt.
func (e *Error) Outage() bool { return e.Kind == KindDown || e.Kind == KindBusy || e.Kind == KindQuota }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// FailureClass of an endpoint's failure.
func (e *Error) FailureClass() pb.FailureClass { return pb.FailureClass_FAILURE_CLASS_ENDPOINT }

// Temporary tells whether it may pass by itself. An unknown model may: its checkpoint may be loading.
func (e *Error) Temporary() bool {
	return e.Kind != KindQuota && e.Kind != KindLong && (e.Kind != KindRequest || e.Status == http.StatusNotFound)
}

// isRequestError: the server will not take this request; another might do.
func isRequestError(err error) bool {
	var failed *Error
	return errors.As(err, &failed) && failed.Kind == KindRequest && !failed.Temporary()
}

// said is the server's own words, in the shapes that servers use.
type said struct {
	Error   json.RawMessage `json:"error"`
	Message string          `json:"message"`
}

// overflows are the words of servers whose model cannot take a prompt that long.
var overflows = []string{
	"context_length_exceeded", "exceed_context_size", "context length", "context size", "longer than the model", "context window",
}

// refused reads a reply that is not 200.
func refused(endpoint string, reply *http.Response, body []byte) error {
	text, folded := message(body), strings.ToLower(string(body))
	code := reply.StatusCode
	if code == http.StatusBadRequest || code == http.StatusRequestEntityTooLarge || code == http.StatusUnprocessableEntity {
		if slices.ContainsFunc(overflows, func(sign string) bool { return strings.Contains(folded, sign) }) {
			return fmt.Errorf("endpoint %s: %w: %s", endpoint, ErrContextOverflow, text)
		}
	}
	e := &Error{Endpoint: endpoint, Status: code, Err: fmt.Errorf("%s: %s", reply.Status, text), after: retryAfter(reply.Header)}
	switch {
	case strings.Contains(folded, "insufficient_quota"):
		e.Kind = KindQuota
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		e.Kind = KindBusy
	case code >= 500 || code == http.StatusRequestTimeout:
		e.Kind = KindServer
	default:
		e.Kind = KindRequest
	}
	return e
}

// message is the readable part of an error body, cut to a line.
func message(body []byte) string {
	var s said
	text := string(body)
	if json.Unmarshal(body, &s) == nil {
		var inner said
		var plain string
		switch {
		case json.Unmarshal(s.Error, &inner) == nil && inner.Message != "":
			text = inner.Message
		case json.Unmarshal(s.Error, &plain) == nil && plain != "":
			text = plain
		case s.Message != "":
			text = s.Message
		}
	}
	return excerpt([]byte(text))
}

// excerpt is the beginning of a text, on one line.
func excerpt(text []byte) string {
	const most = 200
	line := strings.Join(strings.Fields(string(text[:min(len(text), 2*most)])), " ")
	if len(line) > most {
		line = line[:most] + "..."
	}
	return strings.ToValidUTF8(line, "")
}

// retryAfter is the server's wish, in seconds or as a date.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil {
		return time.Until(at)
	}
	return 0
}

// isNotFound: no such path or model.
func isNotFound(err error) bool {
	var failed *Error
	return errors.As(err, &failed) && failed.Status == http.StatusNotFound
}
