package search

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// passage is how much of a long document is shown, in characters: what prompts show of a result.
const passage = 1500

// elasticsearch is an index of Elasticsearch or OpenSearch (the _search API, the same in both): the best passage of each
// document. The key file holds an API key, or user:password.
func elasticsearch(tool config.SearchTool) (engine, error) {
	address := strings.TrimSuffix(tool.URL, "/") + "/" + url.PathEscape(tool.Index) + "/_search"
	names := fieldNames(tool.Fields)
	return engine{
		url: address,
		request: func(query string, k int) (*http.Request, error) {
			return post(address, map[string]any{
				"size": k, "track_total_hits": false, "_source": []string{names.title, names.text, names.url},
				"query": map[string]any{"multi_match": map[string]any{"query": query, "fields": []string{names.title, names.text}}},
				"highlight": map[string]any{
					"pre_tags": []string{""}, "post_tags": []string{""},
					"fields": map[string]any{names.text: map[string]int{"fragment_size": passage, "number_of_fragments": 1, "no_match_size": passage}},
				},
			})
		},
		authorize: func(h http.Header, key string) {
			if strings.Contains(key, ":") {
				h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(key)))
			} else {
				h.Set("Authorization", "ApiKey "+key)
			}
		},
		decode: func(data []byte) ([]*pb.SearchResult, error) { return decodeElastic(data, names) },
		hint: map[int]string{
			http.StatusUnauthorized: " (search.key_file holds an API key, or user:password)",
			http.StatusNotFound:     " (check search.index)",
		},
	}, nil
}

// indexFields are the names of a document's parts in an index.
type indexFields struct{ title, text, url string }

func fieldNames(named map[string]string) indexFields {
	return indexFields{cmp.Or(named[config.FieldTitle], "title"), cmp.Or(named[config.FieldText], "contents"), cmp.Or(named[config.FieldURL], "url")}
}

func decodeElastic(data []byte, names indexFields) ([]*pb.SearchResult, error) {
	var reply struct {
		TimedOut bool `json:"timed_out"`
		Shards   struct {
			Failed int `json:"failed"`
		} `json:"_shards"`
		Hits struct {
			Hits *[]struct {
				Source    map[string]any      `json:"_source"`
				Highlight map[string][]string `json:"highlight"`
			} `json:"hits"`
		} `json:"hits"`
	}
	if err := json.Unmarshal(data, &reply); err != nil || reply.Hits.Hits == nil {
		return nil, unexpected(`{"hits": {"hits": [...]}}`, data, err)
	}
	if reply.TimedOut || reply.Shards.Failed > 0 { // part of an index is another index
		return nil, fmt.Errorf("it searched only a part of the index (timed out: %t, failed shards: %d)", reply.TimedOut, reply.Shards.Failed)
	}
	all, empty := make([]*pb.SearchResult, 0, len(*reply.Hits.Hits)), true
	for _, hit := range *reply.Hits.Hits {
		text := strings.Join(hit.Highlight[names.text], " ")
		if text == "" {
			text = textAt(hit.Source, names.text)
		}
		empty = empty && text == ""
		all = append(all, result(readable(textAt(hit.Source, names.title)), readable(text), textAt(hit.Source, names.url)))
	}
	if len(all) > 0 && empty {
		return nil, refusal{"no text", "what it found has no field " + names.text + "; name the one with the text in search.fields"}
	}
	return all, nil
}

// textAt is the text of a field, whose name's dots lead into objects; of a list, its elements.
func textAt(v any, path string) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		var parts []string
		for _, element := range v {
			parts = append(parts, textAt(element, path))
		}
		return strings.Join(parts, " ")
	case map[string]any:
		if inner, ok := v[path]; ok {
			return textAt(inner, path)
		}
		head, rest, nested := strings.Cut(path, ".")
		if inner, ok := v[head]; ok && nested {
			return textAt(inner, rest)
		}
	}
	return ""
}
