package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSearchTools(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		section, want string
	}{
		"retrieve":        {"kind: retrieve, url: \"http://h:1\"", ""},
		"no server":       {"kind: retrieve", "search.url: want the http(s) URL of a /retrieve server"},
		"searxng":         {"kind: searxng, url: \"http://h:1\", trainable: true", ""},
		"searxng without": {"kind: searxng, trainable: true", "search.url: want the http(s) URL of a SearXNG server"},
		"mediawiki":       {"kind: mediawiki, url: \"https://en.wikipedia.org/w/api.php\"", ""},
		"no wiki":         {"kind: mediawiki", "api.php"},
		"elasticsearch":   {"kind: elasticsearch, url: \"http://h:9200\", index: i, fields: {text: body}", ""},
		"no index":        {"kind: elasticsearch, url: \"http://h:9200\"", "search.index: missing"},
		"no such field":   {"kind: elasticsearch, url: \"http://h:9200\", index: i, fields: {txt: body}", `did you mean "text"?`},
		"brave":           {"kind: brave, trainable: true", ""},
		"serper":          {"kind: serper, trainable: true, retention: true", ""},
		"mcp":             {"kind: mcp, tool: t, arguments: {q: \"{query}\"}, trainable: true", ""},
		"no URL":          {"kind: mcp, url: ftp://h, trainable: true", "search.url: want an http(s) URL, or none"},
		"brave untrained": {"kind: brave", "search.trainable: what brave finds would be in the run's mixtures"},
		"mcp untrained":   {"kind: mcp, retention: true", "say trainable: true if they allow it"},
	} {
		_, err := ParseRun([]byte(strings.Replace(smallest, "corpus: corpus.jsonl", c.section, 1)), "run.yaml")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	onlyEvaluates := strings.Replace(smallest, "corpus: corpus.jsonl", "kind: brave", 1) + "generations: 0\n"
	if _, err := ParseRun([]byte(onlyEvaluates), "run.yaml"); err != nil {
		t.Errorf("a run without a mixture: %v", err)
	}
}

func TestTools(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"[calculator]": "", "[]": "", "[calculater]": `did you mean "calculator"?`, "[calculator, calculator]": "named twice",
	} {
		_, err := ParseRun([]byte(smallest+"tools: "+list+"\n"), "run.yaml")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", list, err, want)
		}
	}
}

// What was added says nothing where it is not used: the name of a run hashes its JSON.
func TestSearchToolJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(SearchTool{Kind: SearchBM25, Corpus: "c", Results: 3, Budget: 10})
	if want := `{"kind":"bm25","corpus":"c","results":3,"budget":10}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
}

func TestParseSearchTool(t *testing.T) {
	t.Parallel()
	tool, err := ParseSearchTool(DefaultRun().Search, map[string]string{"kind": "mcp", "arguments": "q={query},n={results}", "results": "5", "retention": "true"})
	if err != nil || tool.Arguments["n"] != "{results}" || tool.Results != 5 || !tool.Retention || tool.Budget != 10 {
		t.Errorf("%+v, %v", tool, err)
	}
}

func TestCacheMode(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"record": "", "replay": "", "refresh": "", "off": "", "on": `"on" is called record now`, "recrod": `did you mean "record"?`,
	} {
		_, _, err := Load("", nil, map[string]string{"search.cache": mode})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", mode, err, want)
		}
	}
}
