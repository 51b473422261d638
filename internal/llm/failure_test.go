package llm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// hang never answers, until its caller goes away.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// TestEchoedKey: a server that quotes the key it was sent does not put it into our errors, logs and results.
func TestEchoedKey(t *testing.T) {
	t.Parallel()
	const key = "sk-0123456789abcdef"
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"error":      {http.StatusUnauthorized, `{"error":{"message":"Incorrect API key provided: %s"}}`},
		"plain":      {http.StatusInternalServerError, "panic: header %s"},
		"no JSON":    {http.StatusOK, "hello %s"},
		"completion": {http.StatusOK, `{"choices":[{"text":"%s","finish_reason":"stop"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(answer.status)
				_, _ = fmt.Fprintf(w, answer.body, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			})
			cfg := settings()
			cfg.KeyFile, cfg.Tries = file, 1
			out, err := newClient(t, cfg).Complete(t.Context(), request(s.endpoint(), 1))
			if text := fmt.Sprintf("%v %+v", err, out); strings.Contains(text, key) || !strings.Contains(text, "[key]") {
				t.Errorf("want the key replaced by [key]: %s", text)
			}
		})
	}
}

// TestBadLuck: each failure has its kind, is tried again where that may help, and names the endpoint and a remedy.
func TestBadLuck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		kind    string
		calls   int
		says    string
	}{
		"server error": {say(500, `{"error":{"message":"engine died"}}`), llm.KindServer, 2, "engine died"},
		"overloaded":   {say(503, "The request queue is full."), llm.KindBusy, 2, "queue is full"},
		"rate limit":   {say(429, `{"error":{"message":"slow down","type":"requests"}}`), llm.KindBusy, 2, "slow down"},
		"no money":     {say(429, `{"error":{"message":"pay","code":"insufficient_quota"}}`, "Retry-After", "1"), llm.KindQuota, 1, "out of quota"},
		"far off":      {say(429, "later", "Retry-After", "3600"), llm.KindBusy, 1, "later"},
		"no model yet": {say(404, `{"object":"error","message":"The model own does not exist.","code":404}`), llm.KindRequest, 2, "does not exist"},
		"refused":      {say(400, `{"error":"logprobs are not supported"}`), llm.KindRequest, 1, "not supported"},
		"a web page":   {say(200, "<!DOCTYPE html><html>\n<body>Welcome to nginx"), llm.KindGarbage, 2, "want a JSON completion"},
		"not JSON":     {say(200, `{"choices":[{"text":"a"`), llm.KindGarbage, 2, "want a JSON completion"},
		"no choices":   {say(200, `{"choices":[]}`), llm.KindGarbage, 2, "no choices"},
		"error in 200": {say(200, `{"error":{"message":"upstream"}}`), llm.KindGarbage, 2, "upstream"},
		"half a body":  {say(200, `{"choices":[`, "Content-Length", "5000"), llm.KindGarbage, 2, "broke off"},
		"too large":    {say(200, `{"choices":[{"text":"`+strings.Repeat("x", 5000)+`"}]}`), llm.KindLong, 1, "llm.max_reply"},
		"endless page": {say(200, `{"pages":[{"choices":"`+strings.Repeat("x", 5000)+`"}]}`), llm.KindGarbage, 2, "llm.max_reply"},
		"cut off":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, llm.KindDown, 2, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.handler)
			cfg := settings()
			cfg.MaxReply = 4096
			_, err := newClient(t, cfg).Complete(t.Context(), request(s.endpoint(), 1))
			var failed *llm.Error
			if !errors.As(err, &failed) {
				t.Fatalf("%v, want an *Error", err)
			}
			if failed.Kind != c.kind || len(s.seen()) != c.calls || failed.Tries != c.calls {
				t.Errorf("kind %s, %d calls, %d tries; want %s and %d", failed.Kind, len(s.seen()), failed.Tries, c.kind, c.calls)
			}
			if text := err.Error(); !strings.Contains(text, c.says) || !strings.Contains(text, s.endpoint()) || len(text) > 600 {
				t.Errorf("error: %s", text)
			}
			if failed.FailureClass() != pb.FailureClass_FAILURE_CLASS_ENDPOINT {
				t.Errorf("class %s", failed.FailureClass())
			}
		})
	}
}

// TestOverflow: the words of the servers, each the policy's own failure, asked once.
func TestOverflow(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"error":{"message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","code":400}}`,
		`{"error":{"message":"the model's context length is only 4096 tokens"}}`,
		`{"error":{"message":"Requested token count exceeds the model's maximum context length of 4096 tokens."}}`,
		`{"error":{"message":"The input (5000 tokens) is longer than the model's context length (4096 tokens)."}}`,
		`{"error":{"code":400,"type":"exceed_context_size_error","message":"the request exceeds the available size","n_ctx":4096}}`,
		`{"error":{"message":"too long","code":"context_length_exceeded"}}`,
		`{"error":"input exceeds the context length"}`,
	} {
		s := serve(t, say(http.StatusBadRequest, body))
		_, err := newClient(t, settings()).Complete(t.Context(), request(s.endpoint(), 4))
		if !errors.Is(err, llm.ErrContextOverflow) || errors.As(err, new(*llm.Error)) || len(s.seen()) != 1 {
			t.Errorf("%s: %v after %d calls", body, err, len(s.seen()))
		}
	}
}

// TestPasses: what passes is no failure.
func TestPasses(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"500": say(500, "oh"), "404": say(404, "loading"), "HTML": say(200, "<html>"),
		"Retry-After": say(429, "slow", "Retry-After", "0.01"),
		"a date":      say(429, "slow", "Retry-After", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, handler, choose("a"))
			if out, err := newClient(t, settings()).Complete(t.Context(), request(s.endpoint(), 1)); err != nil || len(out.Choices) != 1 {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
}

// TestHang: the call's own deadline, and the caller's, free the slot at once.
func TestHang(t *testing.T) {
	t.Parallel()
	s := serve(t, hang)
	for name, c := range map[string]struct{ timeout, deadline time.Duration }{
		"the call's":   {50 * time.Millisecond, time.Minute},
		"the caller's": {time.Minute, 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings()
			cfg.Timeout, cfg.Tries = c.timeout, 1
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			defer cancel()
			begin := time.Now()
			_, err := newClient(t, cfg).Complete(ctx, request(s.endpoint(), 4))
			var failed *llm.Error
			if !errors.As(err, &failed) || failed.Kind != llm.KindTimeout || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want a timeout", err)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("freed after %s", took)
			}
		})
	}
}

// TestBodyHangs: a deadline ends a reply that stops half-way, too.
func TestBodyHangs(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"choices":[`)
		w.(http.Flusher).Flush()
		hang(w, r)
	})
	cfg := settings()
	cfg.Timeout, cfg.Tries = 50*time.Millisecond, 1
	_, err := newClient(t, cfg).Complete(t.Context(), request(s.endpoint(), 1))
	var failed *llm.Error
	if !errors.As(err, &failed) || failed.Kind != llm.KindTimeout {
		t.Errorf("%v, want a timeout", err)
	}
}

// TestCancel: a caller that gives up gets its own reason, and the endpoint is not blamed.
func TestCancel(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.OpenAfter = 1
	c := newClient(t, cfg)
	reason := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cancel(reason)
		hang(w, r)
	})
	if _, err := c.Complete(ctx, request(s.endpoint(), 4)); !errors.Is(err, reason) || errors.As(err, new(*llm.Error)) {
		t.Errorf("%v, want %v", err, reason)
	}
	if err := c.Ready(t.Context(), s.endpoint()); err != nil {
		t.Error(err)
	}
}

// TestWait: all tries together keep within llm.wait, however many there are.
func TestWait(t *testing.T) {
	t.Parallel()
	s := serve(t, say(500, "oh"))
	cfg := settings()
	cfg.Tries, cfg.Wait = 100, 300*time.Millisecond
	begin := time.Now()
	if _, err := newClient(t, cfg).Complete(t.Context(), request(s.endpoint(), 1)); err == nil || time.Since(begin) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

// TestCircuit: a server that is down at the start opens the circuit; Ready blocks until it answers, for all who wait.
func TestCircuit(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(nil)
	address := down.Listener.Addr().String()
	down.Close()
	cfg := settings()
	cfg.Tries, cfg.OpenAfter = 2, 2
	c := newClient(t, cfg)
	endpoint := "http://" + address + "/v1"
	if err := c.Ready(t.Context(), endpoint); err != nil {
		t.Errorf("an endpoint that was never called: %v", err)
	}
	_, err := c.Complete(t.Context(), request(endpoint, 1))
	var failed *llm.Error
	if !errors.As(err, &failed) || failed.Kind != llm.KindDown || !strings.Contains(err.Error(), "2 tries") {
		t.Fatalf("%v, want an endpoint that is down", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	for name, ready := range map[string]func(context.Context) error{
		"Ready": func(ctx context.Context) error { return c.Ready(ctx, endpoint) }, "AllReady": c.AllReady, "AnyReady": c.AnyReady,
	} {
		if err := ready(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of a dead endpoint: %v", name, err)
		}
	}

	alive := serve(t, choose("a"))
	if _, err := c.Complete(t.Context(), request(alive.endpoint(), 1)); err != nil {
		t.Fatal(err)
	}
	if err := c.AnyReady(t.Context()); err != nil {
		t.Errorf("AnyReady with one endpoint alive: %v", err)
	}

	waiting := make(chan error, 4)
	for range 3 {
		go func() { waiting <- c.Ready(t.Context(), endpoint) }()
	}
	go func() { waiting <- c.AllReady(t.Context()) }()
	up := revive(t, address)
	defer up.Close()
	for range 4 {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
	if out, err := c.Complete(t.Context(), request(endpoint, 1)); err != nil || len(out.Choices) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}
