package search

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const (
	// wikiAgent is who asks: Wikimedia turns away clients that do not say.
	wikiAgent = "ratchet (https://github.com/ratchet-rl/ratchet)"
	// wikiQuery is the longest query that CirrusSearch takes, in characters.
	wikiQuery = 300
	// wikiExtracts is the most introductions that TextExtracts gives at once.
	wikiExtracts = 20
)

// mediawiki is the action API of a wiki (www.mediawiki.org/wiki/API:Search, Extension:TextExtracts), with the introductions
// of the pages it finds. Its etiquette wants one request at a time, and none while the database lags.
func mediawiki(tool config.SearchTool) (engine, error) {
	return engine{
		url: tool.URL, serial: true,
		request: func(query string, k int) (*http.Request, error) {
			request, err := get(tool.URL, url.Values{
				"action": {"query"}, "format": {"json"}, "formatversion": {"2"}, "maxlag": {"5"},
				"generator": {"search"}, "gsrsearch": {short(query, wikiQuery, wikiQuery)}, "gsrlimit": {strconv.Itoa(min(k, wikiExtracts))},
				"prop": {"extracts|info"}, "inprop": {"url"}, "exintro": {"1"}, "explaintext": {"1"}, "exlimit": {"max"},
			})
			if err == nil {
				request.Header.Set("User-Agent", wikiAgent)
			}
			return request, err
		},
		decode: decodeWiki,
	}, nil
}

type wikiPage struct {
	Index   int     `json:"index"`
	Title   string  `json:"title"`
	Extract *string `json:"extract"`
	URL     string  `json:"fullurl"`
}

func decodeWiki(data []byte) ([]*pb.SearchResult, error) {
	var reply struct {
		Complete *bool `json:"batchcomplete"`
		Error    *struct {
			Code string `json:"code"`
			Info string `json:"info"`
		} `json:"error"`
		Query *struct {
			Pages []wikiPage `json:"pages"`
		} `json:"query"`
	}
	err := json.Unmarshal(data, &reply)
	switch {
	case err != nil || reply.Error == nil && reply.Query == nil && reply.Complete == nil:
		return nil, unexpected(`{"query": {"pages": [...]}}`, data, err)
	case reply.Error != nil && slices.Contains([]string{"maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError"}, reply.Error.Code):
		return nil, fmt.Errorf("%s: %s", reply.Error.Code, reply.Error.Info)
	case reply.Error != nil:
		return nil, refusal{reply.Error.Code, reply.Error.Info}
	case reply.Query == nil: // nothing found
		return nil, nil
	}
	pages := reply.Query.Pages
	if len(pages) > 0 && !slices.ContainsFunc(pages, func(p wikiPage) bool { return p.Extract != nil }) {
		return nil, refusal{"no extracts", "the wiki lacks the extension TextExtracts"}
	}
	slices.SortStableFunc(pages, func(a, b wikiPage) int { return cmp.Compare(a.Index, b.Index) })
	all := make([]*pb.SearchResult, 0, len(pages))
	for _, p := range pages {
		text := ""
		if p.Extract != nil {
			text = readable(*p.Extract)
		}
		all = append(all, result(readable(p.Title), text, p.URL))
	}
	return all, nil
}
