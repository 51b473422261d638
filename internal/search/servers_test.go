package search_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The servers here are imitations, by the schemas that their makers publish; the MCP server alone is the real SDK's.

func holds(query string, held []page) []page {
	if strings.Contains(query, "harbor") {
		return held
	}
	return nil
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// object is JSON.
type object = map[string]any

func objects(all []page, make func(i int, p page) object) []object {
	list := []object{}
	for i, p := range all {
		list = append(list, make(i, p))
	}
	return list
}

// serveRetrieve: github.com/PeterGriffinJin/Search-R1, search_r1/search/retrieval_server.py.
func serveRetrieve(held []page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Queries []string `json:"queries"`
			TopK    int      `json:"topk"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || r.URL.Path != "/retrieve" {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		found := holds(in.Queries[0], held)
		reply(w, object{"result": [][]object{objects(found[:min(in.TopK, len(found))], func(_ int, p page) object {
			return object{"document": object{"contents": `"` + p.title + "\"\n" + p.text, "url": p.url}, "score": 1.0}
		})}})
	}
}

// serveSearXNG: docs.searxng.org/dev/search_api.html.
func serveSearXNG(held []page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/search" || r.URL.Query().Get("format") != "json" {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		query := r.URL.Query().Get("q")
		reply(w, object{"query": query, "number_of_results": 0, "unresponsive_engines": [][]string{}, "results": objects(holds(query, held), func(_ int, p page) object {
			return object{"title": p.title, "content": p.text, "url": p.url, "engine": "e", "score": 1.0}
		})})
	}
}

// serveBrave: api-dashboard.search.brave.com, Web Search API, GET /res/v1/web/search.
func serveBrave(held []page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query().Get("q")
		count, err := strconv.Atoi(r.URL.Query().Get("count"))
		if err != nil || count < 1 || count > 20 || len(query) > 400 || len(strings.Fields(query)) > 50 || len(r.Header["Authorization"]) > 0 {
			http.Error(w, `{"type":"ErrorResponse","error":{"code":"VALIDATION"}}`, http.StatusUnprocessableEntity)
			return
		}
		out := object{"type": "search", "query": object{"original": query}}
		if found := holds(query, held); len(found) > 0 {
			out["web"] = object{"type": "search", "results": objects(found[:min(count, len(found))], func(_ int, p page) object {
				return object{"title": p.title, "description": p.text, "url": p.url}
			})}
		}
		reply(w, out)
	}
}

// serveSerper: serper.dev, POST /search.
func serveSerper(held []page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Q   string `json:"q"`
			Num int    `json:"num"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.Num < 1 || len(r.Header["Authorization"]) > 0 {
			http.Error(w, `{"message":"bad request"}`, http.StatusBadRequest)
			return
		}
		reply(w, object{"searchParameters": object{"q": in.Q, "type": "search"}, "credits": 1, "organic": objects(holds(in.Q, held), func(i int, p page) object {
			return object{"title": p.title, "snippet": p.text, "link": p.url, "position": i + 1}
		})})
	}
}

// serveMediaWiki: www.mediawiki.org/wiki/API:Search as a generator, and Extension:TextExtracts; pages come in the order of
// their ids, not of their rank.
func serveMediaWiki(held []page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		limit, err := strconv.Atoi(q.Get("gsrlimit"))
		if err != nil || q.Get("generator") != "search" || q.Get("maxlag") != "5" || !strings.Contains(r.UserAgent(), "ratchet") || len(q.Get("gsrsearch")) > 300 {
			reply(w, object{"error": object{"code": "badvalue", "info": "bad request"}})
			return
		}
		found := holds(q.Get("gsrsearch"), held)
		found = found[:min(limit, len(found))]
		if len(found) == 0 {
			reply(w, object{"batchcomplete": true})
			return
		}
		all := objects(found, func(i int, p page) object {
			return object{"pageid": 100 - i, "index": i + 1, "title": p.title, "extract": p.text, "fullurl": p.url}
		})
		for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
			all[i], all[j] = all[j], all[i]
		}
		reply(w, object{"batchcomplete": true, "query": object{"pages": all}})
	}
}

// serveElastic: www.elastic.co/docs/api, POST /{index}/_search; OpenSearch's is the same.
func serveElastic(held []page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Size  int `json:"size"`
			Query struct {
				Match struct {
					Query string `json:"query"`
				} `json:"multi_match"`
			} `json:"query"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || r.URL.Path != "/wiki/_search" || strings.HasPrefix(r.Header.Get("Authorization"), "Bearer") {
			http.Error(w, `{"error":{"type":"index_not_found_exception"}}`, http.StatusNotFound)
			return
		}
		found := holds(in.Query.Match.Query, held)
		reply(w, object{
			"took": 1, "timed_out": false, "_shards": object{"total": 1, "successful": 1, "failed": 0},
			"hits": object{"hits": objects(found[:min(in.Size, len(found))], func(i int, p page) object {
				hit := object{"_id": strconv.Itoa(i), "_score": 1.0, "_source": object{"title": p.title, "body": object{"en": p.text}, "url": []string{p.url}}}
				if i == 0 {
					hit["highlight"] = object{"body.en": []string{p.text}}
				}
				return hit
			})},
		})
	}
}

// serveMCP is a server of the official Go SDK with a search tool, structured output and all.
func serveMCP(held []page) http.HandlerFunc {
	server := newMCPServer(held)
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil).ServeHTTP
}

type mcpQuery struct {
	Query string `json:"query"`
}

func newMCPServer(held []page) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "harbor", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "web_search", Description: "Searches."},
		func(_ context.Context, _ *mcp.CallToolRequest, in mcpQuery) (*mcp.CallToolResult, object, error) {
			return nil, object{"results": objects(holds(in.Query, held), func(_ int, p page) object {
				return object{"title": p.title, "snippet": p.text, "url": p.url}
			})}, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "fetch", Description: "Fetches."},
		func(context.Context, *mcp.CallToolRequest, object) (*mcp.CallToolResult, any, error) {
			return nil, nil, fmt.Errorf("not here")
		})
	return server
}
