package search

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// retrieve is a Search-R1 server (PeterGriffinJin/Search-R1, retrieval_server.py): POST /retrieve with
// {queries, topk, return_scores}.
func retrieve(tool config.SearchTool) (engine, error) {
	u, err := url.Parse(tool.URL)
	if err != nil || u.Host == "" {
		return engine{}, fmt.Errorf("search.url %q: want the URL of a Search-R1 server, such as http://127.0.0.1:8000/retrieve", tool.URL)
	}
	if u.Path = strings.TrimSuffix(u.Path, "/"); !strings.HasSuffix(u.Path, "/retrieve") {
		u.Path += "/retrieve"
	}
	return engine{
		url: u.String(),
		request: func(query string, k int) (*http.Request, error) {
			return post(u.String(), map[string]any{"queries": []string{query}, "topk": k, "return_scores": true})
		},
		decode: decodeRetrieved,
	}, nil
}

// hit is a result: with scores the document is inside, without it is the item itself.
type hit struct {
	document
	Document *document `json:"document"`
}

func decodeRetrieved(data []byte) ([]*pb.SearchResult, error) {
	var reply struct {
		Result [][]hit `json:"result"`
	}
	if err := json.Unmarshal(data, &reply); err != nil {
		return nil, unexpected(`{"result": [[...]]}`, data, err)
	}
	if len(reply.Result) != 1 {
		return nil, fmt.Errorf(`want {"result": [[...]]} with one list, have %d: %q`, len(reply.Result), excerpt(data))
	}
	var results []*pb.SearchResult
	for _, h := range reply.Result[0] {
		d := h.document
		if h.Document != nil {
			d = *h.Document
		}
		title, text := d.parts()
		results = append(results, result(title, text, d.URL))
	}
	return results, nil
}
