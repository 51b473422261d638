package config

import (
	"strings"
	"testing"
)

func TestConcealed(t *testing.T) {
	t.Parallel()
	const key = "sk-0123456789"
	for text, want := range map[string]string{
		"nothing": "nothing", "bad key " + key + ", really " + key: "bad key [key], really [key]", key[:12]: key[:12], "": "",
	} {
		if got := string(Concealed([]byte(text), key)); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := string(Concealed([]byte("a test"), "test")); got != "a test" {
		t.Errorf("a short secret: got %q", got)
	}
}

// A password in any URL is refused, and not repeated by the refusal.
func TestPasswordInURL(t *testing.T) {
	t.Parallel()
	refused := func(name, key string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "a user or password stands in the URL") || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: got %v, want it refused by name", name, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the refusal repeats the password: %v", name, err)
		}
	}
	for _, key := range []string{"bus.url", "blob.endpoint"} {
		scheme := map[string]string{"bus.url": "nats", "blob.endpoint": "http"}[key]
		_, _, err := Load("", nil, map[string]string{key: scheme + "://me:hunter2@h:1"})
		refused(key, key, err)
	}
	own := "targets:\n- {name: own, base: b, command: [a]}\n"
	for key, text := range map[string]string{
		"policy.endpoint":     strings.Replace(smallest, "http://h:1/v1", "http://me:hunter2@h:1/v1", 1),
		"judge.endpoint":      strings.Replace(smallest, "http://h:2/v1", "http://hunter2@h:2/v1", 1),
		"deploy.endpoint":     smallest + own + "deploy: {endpoint: \"http://me:hunter2@h:1/v1\"}\n",
		"questions.path":      strings.Replace(smallest, "data/Pool.v1.jsonl", "https://me:hunter2@h/pool.jsonl", 1),
		"evaluation.set.path": strings.Replace(smallest, "heldout.csv", "https://me:hunter2@h/x.csv", 1),
		"search.corpus":       strings.Replace(smallest, "corpus.jsonl", "https://me:hunter2@h/c.jsonl", 1),
		"search.url":          strings.Replace(smallest, "corpus: corpus.jsonl", "kind: retrieve, url: \"http://me:hunter2@h/retrieve\"", 1),
	} {
		_, err := ParseRun([]byte(text), "run.yaml")
		refused(key, key, err)
	}
}
