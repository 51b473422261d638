package llm_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is a request as a server saw it.
type call struct {
	path   string
	header http.Header
	body   map[string]any
}

// server records the calls for completions, and answers each with the next of its handlers; the last one stays.
type server struct {
	*httptest.Server
	models string // the reply to /models; empty: 404

	mu    sync.Mutex // guards calls
	calls []call
}

func serve(t testing.TB, handlers ...http.HandlerFunc) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			s.list(w)
			return
		}
		c := call{path: r.URL.Path, header: r.Header}
		if err := json.NewDecoder(r.Body).Decode(&c.body); err != nil {
			t.Errorf("the request is no JSON: %v", err)
		}
		s.mu.Lock()
		s.calls = append(s.calls, c)
		n := len(s.calls)
		s.mu.Unlock()
		handlers[min(n, len(handlers))-1](w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) list(w http.ResponseWriter) {
	if s.models == "" {
		http.Error(w, "no such path", http.StatusNotFound)
		return
	}
	_, _ = io.WriteString(w, s.models)
}

func (s *server) seen() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]call(nil), s.calls...)
}

func (s *server) endpoint() string { return s.URL + "/v1" }

// say answers with a status and a body; headers are pairs.
func say(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// choose answers with texts, in completions' shape.
func choose(texts ...string) http.HandlerFunc {
	var choices []string
	for i, text := range texts {
		choices = append(choices, fmt.Sprintf(`{"index":%d,"text":%q,"finish_reason":"stop","logprobs":{"token_logprobs":[-1,-2]}}`, i, text))
	}
	return say(http.StatusOK, fmt.Sprintf(`{"choices":[%s],"usage":{"prompt_tokens":10,"completion_tokens":%d}}`, strings.Join(choices, ","), 2*len(texts)))
}

// settings with times that suit a test.
func settings() config.LLM {
	cfg := config.Default().LLM
	cfg.Timeout, cfg.OpenFor, cfg.Tries = 5*time.Second, 20*time.Millisecond, 2
	return cfg
}

func newClient(t testing.TB, cfg config.LLM) *llm.Client {
	c := llm.New(cfg, nil, nil)
	t.Cleanup(c.Close)
	return c
}

func request(endpoint string, n int) llm.Request {
	return llm.Request{
		Endpoint: endpoint, Model: "own", API: pb.Api_API_COMPLETIONS, Prompt: "Q: <a & b>\n", N: n, Temperature: 0.5, MaxTokens: 64,
		Stop: []string{"# [END]"}, Seed: 40, Logprobs: true, Affinity: "decision-7",
	}
}

// revive serves at an address where nobody answered.
func revive(t *testing.T, address string) *httptest.Server {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(choose("a"))
	_ = s.Listener.Close()
	s.Listener = listener
	s.Start()
	return s
}
