package config

import (
	"maps"
	"reflect"
	"slices"
)

// Kinds of search tools.
const (
	SearchBM25          = "bm25"
	SearchRetrieve      = "retrieve"
	SearchSearXNG       = "searxng"
	SearchBrave         = "brave"
	SearchSerper        = "serper"
	SearchMediaWiki     = "mediawiki"
	SearchElasticsearch = "elasticsearch"
	SearchMCP           = "mcp"
)

var searchKinds = []string{SearchBM25, SearchRetrieve, SearchSearXNG, SearchBrave, SearchSerper, SearchMediaWiki, SearchElasticsearch, SearchMCP}

// ToolCalculator is a tool beside the search.
const ToolCalculator = "calculator"

// Modes of the cache of results.
const (
	CacheOff     = "off"
	CacheRecord  = "record"
	CacheReplay  = "replay"
	CacheRefresh = "refresh"
)

// Keys of SearchTool.Fields.
const (
	FieldTitle = "title"
	FieldText  = "text"
	FieldURL   = "url"
)

// ParseSearchTool is a search tool with some of its settings replaced, by their names in a run file's section search:
// kind=retrieve, url=http://host:8000.
func ParseSearchTool(tool SearchTool, settings map[string]string) (SearchTool, error) {
	known := leaves(reflect.ValueOf(&tool).Elem(), "")
	var wrong problems
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		i := slices.IndexFunc(known, func(l leaf) bool { return l.path == key })
		if i < 0 {
			wrong.add(unknown("--tool "+key, key, keys(fields(reflect.ValueOf(tool)))))
		} else if err := set(known[i].value, settings[key]); err != nil {
			wrong.add(&Error{Place: "--tool", Key: key, Problem: err.Error()})
		}
	}
	if err := wrong.err(); err != nil {
		return tool, err
	}
	v := check{place: func(string) string { return "" }}
	v.search(tool)
	return tool, v.wrong.err()
}

// hosted kinds show the results of somebody else's engine, whose terms bind: a SearXNG or MCP server may ask any.
var hosted = []string{SearchSearXNG, SearchBrave, SearchSerper, SearchMCP}

// MayKeep tells whether results may be cached.
func (s SearchTool) MayKeep() bool { return s.Retention || !slices.Contains(hosted, s.Kind) }

// MayTrain tells whether results may be in a mixture.
func (s SearchTool) MayTrain() bool { return s.Trainable || !slices.Contains(hosted, s.Kind) }

func (v *check) search(s SearchTool) {
	v.oneOf("search.kind", s.Kind, searchKinds...)
	switch s.Kind {
	case SearchBM25:
		v.given("search.corpus", s.Corpus, "name the JSON lines of {id, title, contents} to search in")
		v.noPassword("search.corpus", s.Corpus, fetchYourself)
	case SearchRetrieve:
		v.wants("search.url", httpURL(s.URL), "the http(s) URL of a /retrieve server")
	case SearchSearXNG:
		v.wants("search.url", httpURL(s.URL), "the http(s) URL of a SearXNG server, such as http://127.0.0.1:8888")
	case SearchMediaWiki:
		v.wants("search.url", httpURL(s.URL), "the URL of a wiki's api.php, such as https://en.wikipedia.org/w/api.php")
	case SearchElasticsearch:
		v.wants("search.url", httpURL(s.URL), "the http(s) URL of an Elasticsearch or OpenSearch server, such as http://127.0.0.1:9200")
		v.given("search.index", s.Index, "name the index to search in")
	case SearchBrave, SearchSerper, SearchMCP:
		v.wants("search.url", s.URL == "" || httpURL(s.URL), "an http(s) URL, or none")
	}
	v.noPassword("search.url", s.URL, "put a key into a file: search.key_file")
	for _, name := range slices.Sorted(maps.Keys(s.Fields)) {
		v.oneOf("search.fields", name, FieldTitle, FieldText, FieldURL)
	}
	v.atLeast("search.results", s.Results, 1)
	v.atLeast("search.budget", s.Budget, 0)
}

func (v *check) tools(names []string) {
	v.tokens("tools", names)
	for _, name := range names {
		v.oneOf("tools", name, ToolCalculator)
	}
}

// trainable refuses a run that would train on what it may not. Every generation has a mixture, whether it is used or not.
func (v *check) trainable(r Run) {
	if r.Generations > 0 && !r.Search.MayTrain() {
		v.add("search.trainable", "what "+r.Search.Kind+" finds would be in the run's mixtures, and its terms may forbid to train on it",
			"read them, and say trainable: true if they allow it; or only evaluate, with generations: 0")
	}
}

func (v *check) cache(mode string) {
	if mode == "on" {
		v.add("search.cache", `"on" is called record now`, "write search.cache: record")
		return
	}
	v.oneOf("search.cache", mode, CacheOff, CacheRecord, CacheReplay, CacheRefresh)
}
