package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSearchCommand(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"result":[[{"document":{"title":"red \u001b[31m","contents":"a <b>bold</b> claim","url":"http://x/\u0007"}}]]}`)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	corpus := filepath.Join(dir, "mine.jsonl")
	if err := os.WriteFile(corpus, []byte(`{"title":"Silver Harbor","contents":"A novel by Ada Abel."}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ratchet(t.Context(), "", "init", dir).wants(t, exitOK, "wrote")
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"bm25", []string{"--tool", "corpus=" + corpus}, exitOK, "Silver Harbor\n"},
		{"a run file", []string{"--run", filepath.Join(dir, "run.yaml")}, exitOK, "3 results in"},
		{"JSON", []string{"--tool", "corpus=" + corpus, "-o", "json"}, exitOK, `"title": "Silver Harbor"`},
		{"names", []string{"--tool", "corpus=" + corpus, "-o", "name"}, exitOK, "Silver Harbor\n"},
		{"escapes", []string{"--tool", "kind=retrieve", "--tool", "url=" + server.URL}, exitOK, "red ␛[31m"},
		{"no tool", nil, exitUsage, "name a run file with --run"},
		{"no kind", []string{"--tool", "kind=retrive"}, exitUsage, `did you mean "retrieve"?`},
		{"no setting", []string{"--tool", "corpse=x"}, exitUsage, `did you mean "corpus"?`},
		{"no number", []string{"--tool", "results=many"}, exitUsage, `want a whole number, not "many"`},
		{"no corpus", []string{"--tool", "corpus=" + filepath.Join(dir, "none")}, exitNotFound, "relative to"},
		{"no server", []string{"--tool", "kind=retrieve", "--tool", "url=http://127.0.0.1:1"}, exitUnreachable, "correct search.url"},
		{"not recorded", []string{"--tool", "corpus=" + corpus, "--set", "search.cache=replay"}, exitUnreachable, "not in the cache"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"search", "Abel's novel", "--set", "search.directory=" + t.TempDir()}, c.args...)
			got := ratchet(t.Context(), "", args...)
			got.wants(t, c.code, c.want)
			if strings.ContainsAny(got.out+got.err, "\x1b\x07") {
				t.Errorf("a terminal's command came through: %q", got.out+got.err)
			}
		})
	}
}
