package config

import (
	"maps"
	"reflect"
	"slices"
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

func (v *check) search(s SearchTool) {
	v.oneOf("search.kind", s.Kind, SearchBM25, SearchRetrieve)
	switch s.Kind {
	case SearchBM25:
		v.given("search.corpus", s.Corpus, "name the JSON lines of {id, title, contents} to search in")
		v.noPassword("search.corpus", s.Corpus, fetchYourself)
	case SearchRetrieve:
		v.wants("search.url", httpURL(s.URL), "the http(s) URL of a /retrieve server")
		v.noPassword("search.url", s.URL, "put a key into a file: search.key_file")
	}
	v.atLeast("search.results", s.Results, 1)
	v.atLeast("search.budget", s.Budget, 0)
}
