package search_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/search"
)

const corpus = `{"id":"1","title":"Silver Harbor","contents":"Silver Harbor is a novel by Ada Abel."}
{"id":"2","title":"Ada Abel","contents":"Ada Abel was born in Belmora."}

{"id":"3","contents":"\"Belmora\"\nBelmora is a city on the river Tarn."}
{"id":"4","title":"&quot;Q&quot; Is for Quarry","text":"Quarries &amp; mines.","url":"http://example.org/q"}
`

// TestBM25 opens one corpus from several workers at once: each sees the whole index.
func TestBM25(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "off")
	uri, corpora := keep(corpus)
	var opening sync.WaitGroup
	for range 3 {
		opening.Go(func() {
			s, err := search.Open(t.Context(), cfg, config.SearchTool{Kind: "bm25", URI: uri}, corpora.get)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for query, want := range map[string]string{
				"who wrote Silver Harbor":     "Silver Harbor",
				"river tarn":                  "Belmora",
				"quarry":                      `"Q" Is for Quarry`,
				"":                            "",
				" \t":                         "",
				"the of":                      "", // stop words
				"zzz":                         "",
				`novel +"by" (title:-x~2`:     "Silver Harbor",
				"\x00\xff NOVELS":             "Silver Harbor",
				strings.Repeat("novel ", 500): "Silver Harbor",
			} {
				found, err := s.Search(t.Context(), query, 1)
				if err != nil || titles(found) != want {
					t.Errorf("%.40q: %q, %v; want %q", query, titles(found), err, want)
				}
			}
			if found, err := s.Search(t.Context(), "quarry", 3); err != nil || len(found) != 1 ||
				found[0].GetSnippet() != "Quarries & mines." || found[0].GetUrl() != "http://example.org/q" {
				t.Errorf("%v, %v", found, err)
			}
			if found, err := s.Search(t.Context(), "quarry", 0); err != nil || len(found) != 0 {
				t.Errorf("k of 0: %v, %v", found, err)
			}
		})
	}
	opening.Wait()
	if left, _ := filepath.Glob(filepath.Join(cfg.Directory, "index", "building-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestTies: equal scores keep the order of the corpus, and a second build gives the same answers.
func TestTies(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "{\"title\":\"t%d\",\"contents\":\"the same words\"}\n", i)
	}
	uri, corpora := keep(text.String())
	for range 2 {
		s := open(t, settings(t, "off"), config.SearchTool{Kind: "bm25", URI: uri}, corpora.get)
		found, err := s.Search(t.Context(), "same words", 4)
		if err != nil || titles(found) != "t0,t1,t2,t3" {
			t.Errorf("%q, %v; want the first four in order", titles(found), err)
		}
	}
}

// TestIndexIsKept: a second opening reads no corpus, and one without a hash in its name finds the same index.
func TestIndexIsKept(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "off")
	uri, corpora := keep(corpus)
	open(t, cfg, config.SearchTool{Kind: "bm25", URI: uri}, corpora.get)
	open(t, cfg, config.SearchTool{Kind: "bm25", URI: uri}, blobs{}.get)
	open(t, cfg, config.SearchTool{Kind: "bm25", URI: "x"}, blobs{"x": corpus}.get)
	indexes, err := os.ReadDir(filepath.Join(cfg.Directory, "index"))
	if err != nil || len(indexes) != 1 {
		t.Errorf("%v, %v; want one index", indexes, err)
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(corpus)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	uri, corpora := keep(packed.String())
	s := open(t, settings(t, "off"), config.SearchTool{Kind: "bm25", URI: uri}, corpora.get)
	if found, err := s.Search(t.Context(), "tarn", 3); err != nil || titles(found) != "Belmora" {
		t.Errorf("%q, %v", titles(found), err)
	}
}

func TestBadCorpus(t *testing.T) {
	t.Parallel()
	named, _ := keep(corpus)
	for name, c := range map[string]struct {
		uri  string
		from blobs
		want string
	}{
		"empty":    {"x", blobs{"x": ""}, "no documents"},
		"not JSON": {"x", blobs{"x": "{\"id\":1}\nnot json\n"}, "line 2"},
		"too long": {"x", blobs{"x": `{"contents":"` + strings.Repeat("x", 17<<20)}, "line 1"},
		"absent":   {"x", blobs{}, "no such blob"},
		"changed":  {named, blobs{named: corpus + "{}\n"}, "has changed"},
		"unset":    {"", blobs{}, "search.corpus"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t, "record")
			_, err := search.Open(t.Context(), cfg, config.SearchTool{Kind: "bm25", URI: c.uri}, c.from.get)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if left, _ := filepath.Glob(filepath.Join(cfg.Directory, "index", "*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestRealCorpus asks 4,858 paragraphs of Wikipedia: the same answers from two indexes built apart.
func TestRealCorpus(t *testing.T) {
	t.Parallel()
	const file = "../../../shared/data/hotpotqa/corpus.jsonl"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("needs ../shared/data/hotpotqa/corpus.jsonl, seen from the root of the project: %v", err)
	}
	uri, corpora := keep(string(data))
	one := open(t, settings(t, "off"), config.SearchTool{Kind: "bm25", URI: uri}, corpora.get)
	two := open(t, settings(t, "off"), config.SearchTool{Kind: "bm25", URI: uri}, corpora.get)
	for query, want := range map[string]string{
		"Big Stone Gap romantic comedy director": "Big Stone Gap",
		"Sue Grafton alphabet novel Quarry":      `"Q" Is for Quarry`,
	} {
		found, err := one.Search(t.Context(), query, 3)
		if err != nil || len(found) != 3 || !strings.Contains(titles(found), want) {
			t.Errorf("%q: %q, %v; want %q among them", query, titles(found), err, want)
		}
		again, err := two.Search(t.Context(), query, 3)
		if diff := cmp.Diff(found, again, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("%q: another index answers otherwise: %v\n%s", query, err, diff)
		}
	}
}

// FuzzQuery: whatever the policy writes is text.
func FuzzQuery(f *testing.F) {
	uri, corpora := keep(corpus)
	s, err := search.Open(f.Context(), settings(f, "off"), config.SearchTool{Kind: "bm25", URI: uri}, corpora.get)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	for _, query := range []string{"novel", `a AND (b OR "c`, "x^2~3 +y -z", "title:*", "\x00\xff", "город 都市"} {
		f.Add(query, 3)
	}
	f.Fuzz(func(t *testing.T, query string, k int) {
		k %= 10
		found, err := s.Search(t.Context(), query, k)
		if err != nil || len(found) > max(k, 0) {
			t.Errorf("%q: %d results for k of %d, %v", query, len(found), k, err)
		}
	})
}
