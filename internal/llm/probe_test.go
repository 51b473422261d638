package llm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// quirks are how a server differs from others. The servers of these tests are hand-written after the published
// behaviours of the programs that they are named for: vLLM's OpenAI-compatible server documentation and its
// entrypoints/openai sources; SGLang issues 8375 and 15481; llama.cpp tools/server/README; llama-cpp-python
// llama_cpp/server/app.py; Ollama docs/openai.md and openai.go.
type quirks struct {
	owner       string
	maxModelLen int64
	slotContext int64
	most        int  // n above it is refused; 0: none is
	ignoresN    bool // one choice, whatever n
	chatShape   bool // log-probabilities in chat's shape on both routes
	noLogprobs  bool
	scaled      bool // after temperature
	noSeed      bool
	keepsStop   bool
	ignoresStop bool
	grammar     bool
	cached      bool
	tokenize    string // the text's name
	noChat      bool
	adapter     string
}

// published is a server with quirks.
func published(t *testing.T, q quirks) *httptest.Server {
	t.Helper()
	var calls atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		models := []map[string]any{{"id": "own", "owned_by": q.owner, "max_model_len": q.maxModelLen, "meta": map[string]any{"n_ctx": q.slotContext}}}
		if q.adapter != "" {
			models = append(models, map[string]any{"id": q.adapter, "owned_by": q.owner, "parent": "own"})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": models})
	})
	if q.tokenize != "" {
		mux.HandleFunc("POST /tokenize", func(w http.ResponseWriter, r *http.Request) {
			var body map[string]any
			_ = json.NewDecoder(r.Body).Decode(&body)
			text, ok := body[q.tokenize].(string)
			if !ok {
				http.Error(w, `{"error":"no `+q.tokenize+`"}`, http.StatusBadRequest)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"count": len(text) / 4, "tokens": make([]int, len(text)/4)})
		})
	}
	complete := func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		q.answer(w, r, body, calls.Add(1))
	}
	mux.HandleFunc("POST /v1/completions", complete)
	if !q.noChat {
		mux.HandleFunc("POST /v1/chat/completions", complete)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (q quirks) answer(w http.ResponseWriter, r *http.Request, body map[string]any, call int64) {
	n := int(body["n"].(float64))
	if q.most > 0 && n > q.most {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":{"code":400,"message":"n_cmpl cannot be greater than the number of slots","type":"invalid_request_error"}}`)
		return
	}
	if q.ignoresN {
		n = 1
	}
	seed, temperature := body["seed"].(float64), body["temperature"].(float64)
	if q.noSeed {
		seed = float64(call)
	}
	text, finish := fmt.Sprintf(" text %g and more", seed), "length"
	if temperature == 0 {
		text = " 61, 62, 63,"
	}
	if q.grammar && (body["grammar"] != nil || body["structured_outputs"] != nil || body["ebnf"] != nil) {
		text, finish = "ratchet", "stop"
	}
	if stops, ok := body["stop"].([]any); ok && !q.ignoresStop {
		if before, _, found := strings.Cut(text, stops[0].(string)); found {
			text, finish = before, "stop"
			if q.keepsStop {
				text += stops[0].(string)
			}
		}
	}
	chat := strings.HasSuffix(r.URL.Path, "/chat/completions")
	var choices []map[string]any
	for i := range n {
		c := map[string]any{"index": i, "finish_reason": finish}
		if chat {
			c["message"] = map[string]any{"role": "assistant", "content": text}
		} else {
			c["text"] = text
		}
		if body["logprobs"] != nil && !q.noLogprobs {
			logprob := -0.25
			if q.scaled && temperature > 0 {
				logprob /= temperature
			}
			if chat || q.chatShape {
				c["logprobs"] = map[string]any{"content": []map[string]any{{"token": " t", "logprob": logprob}}}
			} else {
				c["logprobs"] = map[string]any{"tokens": []string{" t"}, "token_logprobs": []float64{logprob}}
			}
		}
		choices = append(choices, c)
	}
	usage := map[string]any{"prompt_tokens": 5, "completion_tokens": 2 * n}
	if q.cached {
		usage["prompt_tokens_details"] = map[string]any{"cached_tokens": 4}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"choices": choices, "usage": usage})
}

// TestProbe: what each kind of server does is found out. y, n and ? are yes, no and unknown.
func TestProbe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		quirks
		api     pb.Api
		context int64
		want    string
	}{
		"vLLM": {
			quirks: quirks{owner: "vllm", maxModelLen: 4096, grammar: true, tokenize: "prompt", adapter: "own-0123", cached: true}, context: 4096,
			want: "api=y basis=y context=y grammar=y logprobs=y lora=y model=y n=y other-api=y prefix-cache=y seed=y stop=y tokenize=y",
		},
		"SGLang": {
			quirks: quirks{owner: "sglang", maxModelLen: 2048, grammar: true, scaled: true, noSeed: true}, context: 2048,
			want: "api=y basis=n context=y grammar=y logprobs=y lora=? model=y n=y other-api=y prefix-cache=? seed=n stop=y tokenize=n",
		},
		"llama.cpp, one slot": {
			quirks: quirks{owner: "llamacpp", slotContext: 2048, most: 1, chatShape: true, grammar: true, tokenize: "content", cached: true}, context: 2048,
			want: "api=y basis=y context=y grammar=y logprobs=y lora=? model=y n=n other-api=y prefix-cache=y seed=y stop=y tokenize=y",
		},
		"llama-cpp-python without logits_all": {
			quirks: quirks{owner: "me", ignoresN: true, noLogprobs: true},
			want:   "api=y basis=? context=n grammar=n logprobs=n lora=? model=y n=n other-api=y prefix-cache=? seed=y stop=y tokenize=n",
		},
		"Ollama": {
			quirks: quirks{owner: "library", ignoresN: true, chatShape: true},
			want:   "api=y basis=y context=n grammar=n logprobs=y lora=? model=y n=n other-api=y prefix-cache=? seed=y stop=y tokenize=n",
		},
		"chat, stop kept": {
			quirks: quirks{keepsStop: true}, api: pb.Api_API_CHAT,
			want: "api=y basis=y context=n grammar=n logprobs=y lora=? model=y n=y other-api=y prefix-cache=? seed=y stop=y tokenize=n",
		},
		"no chat, stop ignored": {
			quirks: quirks{noChat: true, ignoresStop: true},
			want:   "api=y basis=y context=n grammar=n logprobs=y lora=? model=y n=y other-api=n prefix-cache=? seed=y stop=n tokenize=n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := llm.Request{Endpoint: published(t, c.quirks).URL + "/v1", Model: "own", API: pb.Api_API_COMPLETIONS}
			if c.api != 0 {
				r.API = c.api
			}
			found, err := newClient(t, settings()).Probe(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if got := summary(found); got != c.want || found.GetContext() != c.context {
				t.Errorf("context %d\n got %s\nwant %s\n%v", found.GetContext(), got, c.want, found.GetFound())
			}
			if n := found.GetUsage().GetCalls(); n < 8 || n > 20 || found.GetUsage().GetPromptTokens() == 0 {
				t.Errorf("it cost %v; want a dozen calls, counted", found.GetUsage())
			}
		})
	}
}

func summary(found *pb.Capabilities) string {
	state := map[string]string{}
	for _, c := range found.GetFound() {
		state[c.GetName()] = map[pb.Support]string{pb.Support_SUPPORT_YES: "y", pb.Support_SUPPORT_NO: "n"}[c.GetSupport()]
		if state[c.GetName()] == "" {
			state[c.GetName()] = "?"
		}
	}
	var parts []string
	for _, name := range []string{
		llm.CanAPI, llm.CanBasis, llm.CanContext, llm.CanGrammar, llm.CanLogprobs, llm.CanLoRA, llm.CanModel, llm.CanN, llm.CanOtherAPI,
		llm.CanCache, llm.CanSeed, llm.CanStop, llm.CanTokenize,
	} {
		parts = append(parts, name+"="+state[name])
	}
	return strings.Join(parts, " ")
}

// TestProbeOfNewModel: a model that was loaded after the first call is found, with its context.
func TestProbeOfNewModel(t *testing.T) {
	t.Parallel()
	s := serve(t, choose("a b c", "d e f"))
	s.models = `{"data":[{"id":"own","owned_by":"vllm","max_model_len":100}]}`
	c, r := newClient(t, settings()), request(s.endpoint(), 1)
	if _, err := c.Complete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s.models = `{"data":[{"id":"own","owned_by":"vllm","max_model_len":100},{"id":"new","owned_by":"vllm","max_model_len":200}]}`
	r.Model = "new"
	found, err := c.Probe(t.Context(), r)
	if err != nil || found.GetContext() != 200 || !strings.Contains(summary(found), "model=y") {
		t.Errorf("%v, context %d, %s", err, found.GetContext(), summary(found))
	}
}

// TestProbeOfNobody: a server that is not there is an error, one that goes away leaves what is not known.
func TestProbeOfNobody(t *testing.T) {
	t.Parallel()
	s := serve(t, choose("a", "b"), say(http.StatusInternalServerError, "gone"))
	r := request(s.endpoint(), 1)
	found, err := newClient(t, settings()).Probe(t.Context(), r)
	if err != nil || !strings.Contains(summary(found), "n=y other-api=? prefix-cache=? seed=? stop=?") {
		t.Errorf("%v, %s", err, summary(found))
	}
	s.Close()
	if _, err := newClient(t, settings()).Probe(t.Context(), r); err == nil {
		t.Error("want an error where nobody answers")
	}
	if _, err := newClient(t, settings()).Probe(t.Context(), llm.Request{Endpoint: "ftp://x"}); err == nil {
		t.Error("want an error for what is no URL")
	}
}
