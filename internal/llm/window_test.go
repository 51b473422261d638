package llm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/llm"
)

// narrow is a server with a context, that counts tokens by four bytes where it counts at all. It reads at most cut bytes
// of a prompt and says nothing, as Ollama does (docs/faq.md, OLLAMA_CONTEXT_LENGTH); 0: all.
type narrow struct {
	*httptest.Server
	completed, counted atomic.Int64
	cut                atomic.Int64
}

func newNarrow(t *testing.T, models string, counts bool) *narrow {
	t.Helper()
	n := &narrow{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, models) })
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) {
		n.completed.Add(1)
		var body struct{ Prompt string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		read := len(body.Prompt)
		if cut := int(n.cut.Load()); cut > 0 {
			read = min(read, cut)
		}
		fmt.Fprintf(w, `{"choices":[{"text":"a"}],"usage":{"prompt_tokens":%d,"completion_tokens":1}}`, read/4)
	})
	if counts {
		mux.HandleFunc("POST /tokenize", func(w http.ResponseWriter, r *http.Request) {
			n.counted.Add(1)
			var body struct{ Content, Prompt string }
			_ = json.NewDecoder(r.Body).Decode(&body)
			fmt.Fprintf(w, `{"count":%d}`, len(body.Content+body.Prompt)/4)
		})
	}
	n.Server = httptest.NewServer(mux)
	t.Cleanup(n.Close)
	return n
}

// TestFits: what does not fit is known before the call, exactly or by an estimate that errs on the side of asking.
func TestFits(t *testing.T) {
	t.Parallel()
	const (
		vllm      = `{"data":[{"id":"own","owned_by":"vllm","max_model_len":1000}]}`
		llamacpp  = `{"data":[{"id":"alias","owned_by":"llamacpp","meta":{"n_ctx":1000}}]}`
		anonymous = `{"data":[{"id":"own","owned_by":"library"}]}`
	)
	for name, c := range map[string]struct {
		models  string
		counts  bool
		context int64 // stated
		bytes   int
		fits    bool
		counted int64
	}{
		"far below":                              {vllm, true, 0, 400, true, 0},
		"near, and the output fits":              {vllm, true, 0, 3600, true, 1}, // 900 + 64
		"vLLM wants room for the output":         {vllm, true, 0, 3800, false, 1},
		"llama.cpp ends the output where it can": {llamacpp, true, 0, 3800, true, 1},
		"too long for llama.cpp":                 {llamacpp, true, 0, 4100, false, 1},
		"the server does not count, and judges":  {llamacpp, false, 0, 4100, true, 0},
		"too long by any estimate":               {llamacpp, false, 0, 9000, false, 0},
		"nobody says":                            {anonymous, false, 0, 90_000, true, 0},
		"the run file says":                      {anonymous, false, 1000, 9000, false, 0},
		"the run file says less":                 {vllm, true, 500, 2400, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newNarrow(t, c.models, c.counts)
			r := request(s.URL+"/v1", 1)
			r.Prompt, r.Context = strings.Repeat("x", c.bytes), c.context
			_, err := newClient(t, settings()).Complete(t.Context(), r)
			if errors.Is(err, llm.ErrContextOverflow) == c.fits || (s.completed.Load() == 1) != c.fits || s.counted.Load() != c.counted {
				t.Errorf("%v; %d calls, %d counts; want fits %v and %d counts", err, s.completed.Load(), s.counted.Load(), c.fits, c.counted)
			}
		})
	}
}

// TestSilentCut: a server that reads less of a prompt than there is, and says nothing, is noticed by its usage.
func TestSilentCut(t *testing.T) {
	t.Parallel()
	s := newNarrow(t, `{"data":[]}`, false)
	c := newClient(t, settings())
	ask := func(bytes int) (llm.Response, error) {
		r := request(s.URL+"/v1", 1)
		r.Prompt = strings.Repeat("x", bytes)
		return c.Complete(t.Context(), r)
	}
	for i := range 10 {
		if _, err := ask(1000 + 10*i); err != nil {
			t.Fatal(err)
		}
	}
	s.cut.Store(2000)
	if _, err := ask(2200); err != nil {
		t.Errorf("within the slack: %v", err)
	}
	out, err := ask(4000)
	if !errors.Is(err, llm.ErrContextOverflow) || !strings.Contains(err.Error(), "has read 500 tokens") || out.PromptTokens != 500 {
		t.Errorf("%v, paid %+v; want an overflow, and what was paid", err, out)
	}
	s.cut.Store(0)
	if _, err := ask(4000); err != nil {
		t.Errorf("what was cut taught the estimate: %v", err)
	}
}
