package llm_test

import (
	"errors"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func TestComplete(t *testing.T) {
	t.Parallel()
	s := serve(t, choose("one\n", "two  # [END]", ""))
	reg := prometheus.NewRegistry()
	c := llm.New(settings(), nil, reg)
	t.Cleanup(c.Close)
	out, err := c.Complete(t.Context(), request(s.endpoint()+"/", 3))
	if err != nil {
		t.Fatal(err)
	}
	want := llm.Response{Calls: 1, PromptTokens: 10, CompletionTokens: 6}
	for _, text := range []string{"one  # [END]", "two  # [END]", "  # [END]"} {
		want.Choices = append(want.Choices, llm.Choice{Text: text, Tokens: 2, MeanLogprob: -1.5, HasLogprob: true, FinishReason: "stop"})
	}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	sent := s.seen()[0]
	if diff := cmp.Diff(map[string]any{
		"model": "own", "prompt": "Q: <a & b>\n", "n": 3.0, "temperature": 0.5, "max_tokens": 64.0, "stop": []any{"# [END]"},
		"seed": 40.0, "logprobs": 1.0,
	}, sent.body); diff != "" || sent.path != "/v1/completions" || sent.header.Get("X-Session-Id") != "decision-7" {
		t.Errorf("sent to %s: %s", sent.path, diff)
	}
	if n, err := testutil.GatherAndCount(reg, "ratchet_llm_calls_total", "ratchet_llm_tokens_total", "ratchet_llm_call_duration_seconds"); err != nil || n != 4 {
		t.Errorf("%d metrics, %v; want calls, tokens in and out, durations", n, err)
	}
}

func TestChat(t *testing.T) {
	t.Parallel()
	s := serve(t, say(http.StatusOK, `{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"length",
		"logprobs":{"content":[{"token":"he","logprob":-0.5},{"token":"llo","logprob":-1.5}]}}]}`))
	r := request(s.endpoint(), 1)
	r.API = pb.Api_API_CHAT
	out, err := newClient(t, settings()).Complete(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	want := llm.Response{
		Calls: 1, CompletionTokens: 2, // counted, because the server did not say
		Choices: []llm.Choice{{Text: "hello", Tokens: 2, MeanLogprob: -1, HasLogprob: true, FinishReason: "length"}},
	}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	sent := s.seen()[0]
	if diff := cmp.Diff([]any{map[string]any{"role": "user", "content": r.Prompt}}, sent.body["messages"]); diff != "" ||
		sent.body["logprobs"] != true || sent.body["prompt"] != nil || sent.path != "/v1/chat/completions" {
		t.Errorf("sent %v: %s", sent, diff)
	}
}

// TestLogprobs: either shape on either route; what is null is unknown, never certain.
func TestLogprobs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		logprobs string
		tokens   int
		mean     float64 // NaN: none
	}{
		"completions' shape": {`{"tokens":["a","b"],"token_logprobs":[-1,-3],"top_logprobs":[{"a":-1},null]}`, 2, -2},
		"chat's shape":       {`{"content":[{"token":"a","logprob":-1,"bytes":null,"top_logprobs":[]},{"token":"b","logprob":-2}]}`, 2, -1.5},
		"some null":          {`{"token_logprobs":[null,-1,-2]}`, 3, -1.5},
		"all null":           {`{"token_logprobs":[null,null]}`, 2, math.NaN()},
		"sentinel":           {`{"token_logprobs":[-9999.0,-4]}`, 2, -4},
		"absent in content":  {`{"content":[{"token":"a"},{"token":"b","logprob":-2}]}`, 2, -2},
		"null":               {`null`, 8, math.NaN()},
		"empty":              {`{"token_logprobs":[]}`, 8, math.NaN()},
	} {
		for _, api := range []pb.Api{pb.Api_API_COMPLETIONS, pb.Api_API_CHAT} {
			t.Run(name+" "+api.String(), func(t *testing.T) {
				t.Parallel()
				s := serve(t, say(http.StatusOK, `{"choices":[{"text":"x","message":{"content":"x"},"logprobs":`+c.logprobs+`}],"usage":{"completion_tokens":8}}`))
				r := request(s.endpoint(), 1)
				r.API = api
				out, err := newClient(t, settings()).Complete(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				got := out.Choices[0]
				if got.HasLogprob == math.IsNaN(c.mean) || got.HasLogprob && got.MeanLogprob != c.mean || got.Tokens != c.tokens {
					t.Errorf("%+v, want %d tokens, mean %v", got, c.tokens, c.mean)
				}
			})
		}
	}
}

// TestUsageOfOneChoice: llama.cpp counts the tokens of one choice, whatever n; those that have a log-probability are more.
func TestUsageOfOneChoice(t *testing.T) {
	t.Parallel()
	s := serve(t, say(http.StatusOK, `{"choices":[{"index":0,"text":"a","logprobs":{"content":[{"logprob":-1},{"logprob":-1}]}},
		{"index":1,"text":"b","logprobs":{"content":[{"logprob":-1}]}}],"usage":{"prompt_tokens":5,"completion_tokens":2}}`))
	out, err := newClient(t, settings()).Complete(t.Context(), request(s.endpoint(), 2))
	if err != nil || out.CompletionTokens != 3 {
		t.Errorf("%+v, %v; want 3 completion tokens", out, err)
	}
}

// TestFewerThanN: a server that ignores n is asked for the rest, with the seeds that they would have had; the second
// time it is not offered n.
func TestFewerThanN(t *testing.T) {
	t.Parallel()
	s := serve(t, choose("a"))
	c := newClient(t, settings())
	for call, want := range []struct{ n, seeds []float64 }{
		{[]float64{3, 1, 1}, []float64{40, 41, 42}},
		{[]float64{1, 1, 1}, []float64{40, 41, 42}},
	} {
		before := len(s.seen())
		out, err := c.Complete(t.Context(), request(s.endpoint(), 3))
		if err != nil || len(out.Choices) != 3 || out.Calls != 3 || out.PromptTokens != 30 || out.CompletionTokens != 6 {
			t.Fatalf("call %d: %+v, %v", call, out, err)
		}
		var n, seeds []float64
		for _, sent := range s.seen()[before:] {
			n, seeds = append(n, sent.body["n"].(float64)), append(seeds, sent.body["seed"].(float64))
		}
		slices.Sort(seeds)
		if !slices.Equal(n, want.n) || !slices.Equal(seeds, want.seeds) {
			t.Errorf("call %d: n %v, seeds %v; want %v", call, n, seeds, want)
		}
	}
	r := request(s.endpoint(), 2)
	r.Model = "other"
	if _, err := c.Complete(t.Context(), r); err != nil || s.seen()[6].body["n"] != 2.0 {
		t.Errorf("another model was not offered n: %v, %v", s.seen()[6], err)
	}
}

// TestNRefused: llama.cpp refuses an n above its slots.
func TestNRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, say(http.StatusBadRequest, `{"error":{"code":400,"message":"n_cmpl cannot be greater than the number of slots"}}`), choose("a"))
	out, err := newClient(t, settings()).Complete(t.Context(), request(s.endpoint(), 2))
	if err != nil || len(out.Choices) != 2 {
		t.Errorf("%+v, %v; want two choices", out, err)
	}
	s = serve(t, say(http.StatusBadRequest, `{"error":{"message":"temperature must be 1"}}`))
	_, err = newClient(t, settings()).Complete(t.Context(), request(s.endpoint(), 2))
	if n := len(s.seen()); n != 2 || err == nil {
		t.Errorf("%d calls, %v; want the refusal after one call with n and one without", n, err)
	}
}

// TestPartlyPaid: what was paid for before a failure is counted.
func TestPartlyPaid(t *testing.T) {
	t.Parallel()
	s := serve(t, choose("a"), say(http.StatusBadRequest, `{"error":{"message":"no"}}`))
	out, err := newClient(t, settings()).Complete(t.Context(), request(s.endpoint(), 2))
	if err == nil || out.Calls != 1 || out.CompletionTokens != 2 {
		t.Errorf("%+v, %v; want an error and one paid call", out, err)
	}
}

// TestDialects: servers that cut the distribution by themselves are told not to; others see no unknown field.
func TestDialects(t *testing.T) {
	t.Parallel()
	for owner, want := range map[string][3]any{
		"llamacpp": {0.0, 1.0, 0.0}, "vllm": {-1.0, 1.0, 0.0}, "library": {}, "": {},
	} {
		s := serve(t, choose("a"))
		s.models = `{"object":"list","data":[{"id":"own","owned_by":"` + owner + `"}]}`
		c := newClient(t, settings())
		if _, err := c.Complete(t.Context(), request(s.endpoint(), 1)); err != nil {
			t.Fatal(err)
		}
		sent := s.seen()[0].body
		if got := [3]any{sent["top_k"], sent["top_p"], sent["min_p"]}; got != want {
			t.Errorf("%q: top_k, top_p, min_p %v, want %v", owner, got, want)
		}
		if names, err := c.Models(t.Context(), s.endpoint()); err != nil || !slices.Equal(names, []string{"own"}) {
			t.Errorf("%q: models %v, %v", owner, names, err)
		}
	}
}

// TestGrammar: each server gets the grammar under the name that it knows; one that takes none is a clear error, one that is
// down is down.
func TestGrammar(t *testing.T) {
	t.Parallel()
	const grammar = `root ::= "a"`
	for owner, sent := range map[string]func(body map[string]any) any{
		"llamacpp": func(body map[string]any) any { return body["grammar"] },
		"vllm":     func(body map[string]any) any { return body["structured_outputs"].(map[string]any)["grammar"] },
		"sglang":   func(body map[string]any) any { return body["ebnf"] },
		"library":  nil,
	} {
		s := serve(t, choose("a"))
		s.models = `{"object":"list","data":[{"id":"own","owned_by":"` + owner + `"}]}`
		r := request(s.endpoint(), 1)
		r.Grammar = grammar
		_, err := newClient(t, settings()).Complete(t.Context(), r)
		if sent == nil {
			if !errors.Is(err, llm.ErrNoGrammar) || len(s.seen()) > 0 {
				t.Errorf("%q: %v after %d calls, want ErrNoGrammar and none", owner, err, len(s.seen()))
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := sent(s.seen()[0].body); got != grammar {
			t.Errorf("%q was sent %v", owner, s.seen()[0].body)
		}
	}
	s := serve(t, choose("a"))
	s.Close()
	r := request(s.endpoint(), 1)
	r.Grammar = grammar
	var failed *llm.Error
	if _, err := newClient(t, settings()).Complete(t.Context(), r); !errors.As(err, &failed) || failed.Kind != llm.KindDown {
		t.Errorf("%v, want an endpoint that is down", err)
	}
}

// TestKeys: a key of its own goes before the common one, and no error shows either.
func TestKeys(t *testing.T) {
	t.Parallel()
	s, other := serve(t, say(http.StatusUnauthorized, `{"error":"who are you?"}`)), serve(t, choose("a"))
	cfg, dir := settings(), t.TempDir()
	for name, key := range map[string]string{"common": "sk-common", "own": "sk-own"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg.KeyFile = filepath.Join(dir, "common")
	cfg.KeyFiles = map[string]string{strings.TrimPrefix(s.URL, "http://"): filepath.Join(dir, "own")}
	c := newClient(t, cfg)
	_, err := c.Complete(t.Context(), request(s.endpoint(), 1))
	if err == nil || strings.Contains(err.Error(), "sk-") || !strings.Contains(err.Error(), "llm.key_file") {
		t.Errorf("%v, want an error that names the setting and no key", err)
	}
	if _, err := c.Complete(t.Context(), request(other.endpoint(), 1)); err != nil {
		t.Error(err)
	}
	if a, b := s.seen()[0].header.Get("Authorization"), other.seen()[0].header.Get("Authorization"); a != "Bearer sk-own" || b != "Bearer sk-common" {
		t.Error("the wrong key was sent")
	}
	cfg.KeyFile = filepath.Join(dir, "absent")
	if _, err := newClient(t, cfg).Complete(t.Context(), request(other.endpoint(), 1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want the missing file", err)
	}
}

func TestBadEndpoint(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "127.0.0.1:8000/v1", "ftp://x/v1", "http://"} {
		if _, err := newClient(t, settings()).Complete(t.Context(), request(endpoint, 1)); err == nil || !strings.Contains(err.Error(), "want a URL") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}
