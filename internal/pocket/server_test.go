package pocket

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
	"github.com/ratchet-rl/ratchet/internal/pocket/token"
)

func testVocabulary(t testing.TB) *token.Vocabulary {
	t.Helper()
	v, err := vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// tinyModel is untrained, of the real vocabulary: enough to speak the protocol.
func tinyModel(t testing.TB, seed uint64) *nn.Model {
	t.Helper()
	m, err := nn.New(nn.Shape{Vocab: testVocabulary(t).Size(), Dim: 8, Layers: 1, Heads: 2, Hidden: 8, Context: 128}, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// readyServer serves an untrained model as pocket, and the reader.
func readyServer(t testing.TB) (*Server, string) {
	t.Helper()
	s := NewServer(ServerOptions{Metrics: prometheus.NewRegistry()})
	s.open(map[string]*served{
		ModelOwn:   {name: ModelOwn, root: "own@7", model: tinyModel(t, 1), builtIn: true, vocabulary: testVocabulary(t)},
		ModelJudge: {name: ModelJudge, root: ModelJudge, builtIn: true},
	})
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, h.URL
}

func client(url string) openai.Client {
	return openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
}

func completion(prompt string) openai.CompletionNewParams {
	return openai.CompletionNewParams{
		Model: ModelOwn, Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String(prompt)},
		MaxTokens: openai.Int(12), Seed: openai.Int(5), Temperature: openai.Float(1),
	}
}

const somePrompt = "Where was the author of Silver Harbor born?"

func TestCompletions(t *testing.T) {
	t.Parallel()
	_, url := readyServer(t)
	c := client(url)
	p := completion(somePrompt)
	p.N, p.Logprobs = openai.Int(4), openai.Int(1)
	got, err := c.Completions.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Choices) != 4 || got.Usage.PromptTokens == 0 || got.Usage.CompletionTokens == 0 || got.SystemFingerprint != fingerprintPolicy {
		t.Errorf("choices %d, usage %+v, fingerprint %q", len(got.Choices), got.Usage, got.SystemFingerprint)
	}
	for i, choice := range got.Choices {
		l := choice.Logprobs
		ended := strings.HasSuffix(choice.Text, endMark)
		if (choice.FinishReason == "stop") != ended || len(l.Tokens) != len(l.TokenLogprobs) || (!ended && len(l.Tokens) != 12) ||
			slices.Max(l.TokenLogprobs) > 0 || strings.Join(l.Tokens, "") != choice.Text || l.TextOffset[0] != int64(len(somePrompt)) {
			t.Errorf("choice %d: %q, finished by %s, log-probabilities %v", i, l.Tokens, choice.FinishReason, l.TokenLogprobs)
		}
		single := completion(somePrompt)
		single.Seed = openai.Int(5 + int64(i))
		alone, err := c.Completions.New(t.Context(), single)
		if err != nil {
			t.Fatal(err)
		}
		if alone.Choices[0].Text != choice.Text {
			t.Errorf("choice %d is %q, alone with its seed %q", i, choice.Text, alone.Choices[0].Text)
		}
	}
}

func TestCompletionsStop(t *testing.T) {
	t.Parallel()
	_, url := readyServer(t)
	c := client(url)
	p := completion(somePrompt)
	whole, err := c.Completions.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	text := whole.Choices[0].Text
	stop := text[len(text)/2:]
	p.Stop = openai.CompletionNewParamsStopUnion{OfStringArray: []string{"no such text", stop}}
	got, err := c.Completions.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if want, _, _ := strings.Cut(text, stop); got.Choices[0].FinishReason != "stop" || got.Choices[0].Text != want {
		t.Errorf("%q stopped at %q: %q", text, stop, got.Choices[0].Text)
	}
}

func TestChatWithTheJudge(t *testing.T) {
	t.Parallel()
	_, url := readyServer(t)
	c := client(url)
	got, err := c.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Model: ModelJudge, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(
			"ORIGINAL_QUESTION: str = 'q'\nANSWER: str = 'Belmora [link_id=5]'\nREF_ANSWER: str = 'Belmora'\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := got.Choices[0].Message.Content; !strings.HasSuffix(text, "= True  # [END]") || got.SystemFingerprint != fingerprintReader || got.Model != ModelJudge {
		t.Errorf("%q by %q", text, got.SystemFingerprint)
	}
	policy, err := c.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Model: ModelOwn, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(somePrompt)}, MaxTokens: openai.Int(3), Logprobs: openai.Bool(true),
		Seed: openai.Int(1), // without one it is drawn, and a short answer among what it may say
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(policy.Choices[0].Logprobs.Content); n != 3 {
		t.Errorf("%d log-probabilities, want 3", n)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	_, url := readyServer(t)
	for name, c := range map[string]struct {
		change func(*openai.CompletionNewParams)
		status int
		says   string
	}{
		"unknown model":    {func(p *openai.CompletionNewParams) { p.Model = "gpt-9" }, http.StatusNotFound, "does not exist"},
		"context overflow": {func(p *openai.CompletionNewParams) { p.MaxTokens = openai.Int(500) }, http.StatusBadRequest, "maximum context length"},
		"n":                {func(p *openai.CompletionNewParams) { p.N = openai.Int(0) }, http.StatusBadRequest, "`n`"},
		"temperature":      {func(p *openai.CompletionNewParams) { p.Temperature = openai.Float(-1) }, http.StatusBadRequest, "`temperature`"},
		"top_p":            {func(p *openai.CompletionNewParams) { p.TopP = openai.Float(.5) }, http.StatusBadRequest, "`top_p`"},
		"echo":             {func(p *openai.CompletionNewParams) { p.Echo = openai.Bool(true) }, http.StatusBadRequest, "`echo`"},
		"max_tokens":       {func(p *openai.CompletionNewParams) { p.MaxTokens = openai.Int(0) }, http.StatusBadRequest, "`max_tokens`"},
		"two prompts": {func(p *openai.CompletionNewParams) {
			p.Prompt = openai.CompletionNewParamsPromptUnion{OfArrayOfStrings: []string{"a", "b"}}
		}, http.StatusBadRequest, "one string"},
		"empty prompt": {func(p *openai.CompletionNewParams) {
			p.Prompt = openai.CompletionNewParamsPromptUnion{OfString: openai.String("")}
		}, http.StatusBadRequest, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := completion(somePrompt)
			c.change(&p)
			cl := client(url)
			_, err := cl.Completions.New(t.Context(), p)
			var e *openai.Error
			if !errors.As(err, &e) || e.StatusCode != c.status || !strings.Contains(e.Message, c.says) || e.Type == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

// Until the bases are there, everything is 503 with Retry-After; then it opens.
func TestNotReady(t *testing.T) {
	t.Parallel()
	s := NewServer(ServerOptions{})
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	for _, path := range []string{"/health", "/v1/models"} {
		if w := get(path); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/completions", strings.NewReader(`{"model":"pocket","prompt":"x"}`)))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("completions: %d %s", w.Code, w.Body)
	}
	s.open(map[string]*served{ModelOwn: {name: ModelOwn, model: tinyModel(t, 1), vocabulary: testVocabulary(t)}})
	if w := get("/health"); w.Code != http.StatusOK {
		t.Errorf("ready, and yet %d", w.Code)
	}
	if w := get("/nowhere"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"error"`) {
		t.Errorf("unknown route: %d %s", w.Code, w.Body)
	}
}

// A failed Prepare leaves the server up and saying why.
func TestPrepareFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewServer(ServerOptions{Cache: filepath.Join(file, "cache")})
	if err := s.Prepare(t.Context()); err == nil {
		t.Fatal("a cache inside a file was accepted")
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "cannot start") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAdapters(t *testing.T) {
	t.Parallel()
	s, url := readyServer(t)
	dir := t.TempDir()
	if err := writeCheckpoint(dir, tinyModel(t, 2), card{Vocabulary: testVocabulary(t).Hash(), Base: "own@7"}); err != nil {
		t.Fatal(err)
	}
	broken := t.TempDir()
	if err := errors.Join(writeCheckpoint(broken, tinyModel(t, 3), card{Vocabulary: testVocabulary(t).Hash()}),
		os.WriteFile(filepath.Join(broken, parametersFile), []byte("1234"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		call, body string
		status     int
		says       string
	}{
		{"load", `{"lora_name":"own-1"}`, 400, "must be provided"},
		{"load", `{"lora_name":"own-1","lora_path":"/nowhere"}`, 404, "No adapter found"},
		{"load", `{"lora_name":"own-1","lora_path":"` + broken + `"}`, 404, "sha256 differs"},
		{"load", `{"lora_name":"own-1","lora_path":"` + dir + `"}`, 200, "Success"},
		{"load", `{"lora_name":"own-1","lora_path":"` + dir + `"}`, 400, "already been loaded"},
		{"load", `{"lora_name":"pocket","lora_path":"` + dir + `"}`, 400, "already been loaded"},
		{"unload", `{"lora_name":"own-2"}`, 404, "cannot be found"},
		{"unload", `{"lora_name":"pocket"}`, 404, "cannot be found"},
		{"unload", `{}`, 400, "needs to be provided"},
	} {
		r, err := http.Post(url+"/v1/"+c.call+"_lora_adapter", "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s %s: %d %s", c.call, c.body, r.StatusCode, body)
		}
	}

	cl := client(url)
	page, err := cl.Models.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, m := range page.Data {
		names = append(names, m.ID)
	}
	if !slices.Equal(names, []string{"own-1", ModelOwn, ModelJudge}) {
		t.Errorf("models %v", names)
	}
	p := completion(somePrompt)
	base, err1 := cl.Completions.New(t.Context(), p)
	p.Model = "own-1"
	tuned, err2 := cl.Completions.New(t.Context(), p)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if base.Choices[0].Text == tuned.Choices[0].Text {
		t.Error("the checkpoint answers like the base")
	}
	if err := s.unload("own-1"); err != nil {
		t.Error(err)
	}
	if _, err := cl.Completions.New(t.Context(), p); err == nil {
		t.Error("an unloaded checkpoint still answers")
	}
}
