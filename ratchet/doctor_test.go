package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// llamacpp is a server that answers as llama.cpp's does (tools/server/README), with a context of so many tokens.
func llamacpp(t *testing.T, context int) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"data":[{"id":"pocket","owned_by":"llamacpp","meta":{"n_ctx":%d}},{"id":"pocket-judge","owned_by":"llamacpp","meta":{"n_ctx":%d}}]}`, context, context)
	})
	mux.HandleFunc("POST /tokenize", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Content string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		_ = json.NewEncoder(w).Encode(map[string]any{"tokens": make([]int, len(body.Content)/4)})
	})
	complete := func(choice string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var body struct{ N, Seed int }
			_ = json.NewDecoder(r.Body).Decode(&body)
			var choices []string
			for range body.N {
				choices = append(choices, fmt.Sprintf(choice, body.Seed))
			}
			fmt.Fprintf(w, `{"choices":[%s],"usage":{"prompt_tokens":9,"completion_tokens":2}}`, strings.Join(choices, ","))
		}
	}
	mux.HandleFunc("POST /v1/completions", complete(`{"text":"text %d and more","finish_reason":"stop"}`))
	mux.HandleFunc("POST /v1/chat/completions", complete(`{"message":{"content":"text %d and more"},"finish_reason":"stop"}`))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.ratchet("doctor").wants(t, exitOK, "blob store")
	dir := t.TempDir()
	i.ratchet("init", dir).wants(t, exitOK, "run.yaml")
	written, err := os.ReadFile(filepath.Join(dir, "run.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	run := func(endpoint, from, to string) string {
		file := filepath.Join(dir, fmt.Sprintf("%d.yaml", len(to)+len(endpoint)))
		text := regexp.MustCompile(`http://[0-9.:]+/v1`).ReplaceAllString(string(written), endpoint)
		if err := os.WriteFile(file, []byte(strings.Replace(text, from, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := llamacpp(t, 4096)
	o := i.ratchet("doctor", run(good.URL+"/v1", "", ""))
	o.wants(t, exitOK, "policy stop          warning  no: asked to stop at")
	for _, want := range []string{"warning  no: ", "costs: the candidate that goes on is the majority's", "to do: use completions", "4096 of context: 4"} {
		o.wants(t, exitOK, want)
	}
	i.ratchet("doctor", run(llamacpp(t, 30).URL+"/v1", "", " "), "-o", "json").wants(t, exitFailed, `"check": "policy prompts"`)
	gone := llamacpp(t, 1)
	gone.Close()
	i.ratchet("doctor", run(gone.URL+"/v1", "", "  ")).wants(t, exitFailed, "start the server, or correct endpoint")
	i.ratchet("doctor", run(good.URL+"/v1", "heldout.jsonl", "nowhere.jsonl")).wants(t, exitFailed, "questions")
	i.ratchet("doctor", run(good.URL+"/v1", "policy:", "polcy:")).wants(t, exitFailed, "polcy")
	ratchet(t.Context(), "", "doctor", "--wait", "10ms", "--set", "bus.url=nats://127.0.0.1:1").wants(t, exitFailed, "no bus at nats://127.0.0.1:1")
}
