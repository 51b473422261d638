package search

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// found is a result in the spelling of any of the engines.
type found struct {
	Title       string `json:"title"`
	URL         string `json:"url"`
	Link        string `json:"link"`
	Content     string `json:"content"`
	Description string `json:"description"`
	Snippet     string `json:"snippet"`
}

func results(all []found) []*pb.SearchResult {
	out := make([]*pb.SearchResult, 0, len(all))
	for _, f := range all {
		out = append(out, result(readable(f.Title), readable(f.Content+f.Description+f.Snippet), f.URL+f.Link))
	}
	return out
}

// searxng is a SearXNG server of one's own (docs.searxng.org/dev/search_api.html): GET /search with format=json.
func searxng(tool config.SearchTool) (engine, error) {
	base := strings.TrimSuffix(strings.TrimSuffix(tool.URL, "/"), "/search") + "/search"
	return engine{
		url: base,
		request: func(query string, _ int) (*http.Request, error) {
			return get(base, url.Values{"q": {query}, "format": {"json"}})
		},
		decode: func(data []byte) ([]*pb.SearchResult, error) {
			var reply struct {
				Results      *[]found `json:"results"`
				Unresponsive [][]any  `json:"unresponsive_engines"`
			}
			if err := json.Unmarshal(data, &reply); err != nil || reply.Results == nil {
				return nil, unexpected(`{"results": [...]}`, data, err)
			}
			if len(*reply.Results) == 0 && len(reply.Unresponsive) > 0 { // nobody was asked: that is not "nothing found"
				return nil, fmt.Errorf("no results, and engines that did not answer: %.200s", fmt.Sprint(reply.Unresponsive))
			}
			return results(*reply.Results), nil
		},
		hint: map[int]string{http.StatusForbidden: " (SearXNG answers in JSON only if search.formats in its settings.yml has json)"},
	}, nil
}

// What Brave takes of a query, and how many results it gives at once (api-dashboard.search.brave.com, Web Search).
const (
	braveURL     = "https://api.search.brave.com/res/v1/web/search"
	braveChars   = 400
	braveWords   = 50
	braveResults = 20
)

// brave is the Brave Search API: GET, the key in X-Subscription-Token.
func brave(tool config.SearchTool) (engine, error) {
	base := cmp.Or(tool.URL, braveURL)
	return engine{
		url: base,
		request: func(query string, k int) (*http.Request, error) {
			return get(base, url.Values{
				"q": {short(query, braveWords, braveChars)}, "count": {strconv.Itoa(min(k, braveResults))},
				"text_decorations": {"false"}, "result_filter": {"web"},
			})
		},
		authorize: func(h http.Header, key string) { h.Set("X-Subscription-Token", key) },
		decode: func(data []byte) ([]*pb.SearchResult, error) {
			var reply struct {
				Type string `json:"type"`
				Web  struct {
					Results []found `json:"results"`
				} `json:"web"`
			}
			if err := json.Unmarshal(data, &reply); err != nil || reply.Type != "search" {
				return nil, unexpected(`{"type": "search", "web": {"results": [...]}}`, data, err)
			}
			return results(reply.Web.Results), nil
		},
		hint: keyHint,
	}, nil
}

const serperURL = "https://google.serper.dev/search"

// serper is serper.dev: POST {q, num}, the key in X-API-KEY.
func serper(tool config.SearchTool) (engine, error) {
	base := cmp.Or(tool.URL, serperURL)
	return engine{
		url: base,
		request: func(query string, k int) (*http.Request, error) {
			return post(base, map[string]any{"q": query, "num": k})
		},
		authorize: func(h http.Header, key string) { h.Set("X-API-KEY", key) },
		decode: func(data []byte) ([]*pb.SearchResult, error) {
			var reply struct {
				Parameters json.RawMessage `json:"searchParameters"`
				Organic    *[]found        `json:"organic"`
			}
			if err := json.Unmarshal(data, &reply); err != nil || reply.Organic == nil && reply.Parameters == nil {
				return nil, unexpected(`{"searchParameters": {...}, "organic": [...]}`, data, err)
			}
			if reply.Organic == nil {
				return nil, nil
			}
			return results(*reply.Organic), nil
		},
		hint: keyHint,
	}, nil
}

// keyHint is what a hosted engine's refusals mostly mean.
var keyHint = map[int]string{
	http.StatusUnauthorized: " (check the key in search.key_file)", http.StatusForbidden: " (check the key in search.key_file)",
	http.StatusPaymentRequired: " (the plan is used up)",
}

// short is as much of a query as an engine takes, whole words.
func short(query string, words, chars int) string {
	all := strings.Fields(query)
	all = all[:min(len(all), words)]
	for len(all) > 1 && len([]rune(strings.Join(all, " "))) > chars {
		all = all[:len(all)-1]
	}
	text := []rune(strings.Join(all, " "))
	return string(text[:min(len(text), chars)])
}

// get asks with the values in the query, beside what stands there already.
func get(address string, values url.Values) (*http.Request, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	all := u.Query()
	for name, value := range values {
		all[name] = value
	}
	u.RawQuery = all.Encode()
	request, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	return request, nil
}

func post(address string, body any) (*http.Request, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode query: %w", err)
	}
	request, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	return request, nil
}

// unexpected says that a reply is not what it should be.
func unexpected(want string, data []byte, err error) error {
	if err == nil {
		err = errors.New("something is missing")
	}
	return fmt.Errorf("want %s, have %q: %w", want, excerpt(data), err)
}
