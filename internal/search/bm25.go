package search

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/blevesearch/bleve/v2"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// bm25 searches an index of a corpus.
type bm25 struct {
	index   bleve.Index
	timeout time.Duration
}

func chooseBM25(ctx context.Context, cfg config.Search, tool config.SearchTool, get Getter) (backend, error) {
	if tool.URI == "" {
		return backend{}, errors.New("the run names no corpus in the blob store; set search.corpus and submit it again")
	}
	corpus, err := findCorpus(ctx, tool.URI, get)
	if err != nil {
		return backend{}, err
	}
	return backend{
		identity: indexVersion + " " + corpus.sha256,
		open: func(ctx context.Context) (Searcher, error) {
			index, err := openIndex(ctx, cfg.Directory, corpus)
			if err != nil {
				return nil, err
			}
			return &bm25{index: index, timeout: cfg.Timeout}, nil
		},
	}, nil
}

// Search matches any word of the query.
func (b *bm25) Search(ctx context.Context, query string, k int) ([]*pb.SearchResult, error) {
	query = strings.ToValidUTF8(query, " ") // the tokenizer gives up at an invalid byte
	if strings.TrimSpace(query) == "" || k < 1 {
		return nil, nil
	}
	match := bleve.NewMatchQuery(query)
	match.SetField(fieldText)
	request := bleve.NewSearchRequestOptions(match, k, 0, false)
	request.Fields = []string{fieldTitle, fieldSnippet, fieldURL}
	request.SortBy([]string{"-_score", "_id"})

	timed, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	found, err := b.index.SearchInContext(timed, request)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, &Error{Err: fmt.Errorf("search the index: %w", err)}
	}
	results := make([]*pb.SearchResult, 0, len(found.Hits))
	for _, hit := range found.Hits {
		results = append(results, result(stored(hit.Fields, fieldTitle), stored(hit.Fields, fieldSnippet), stored(hit.Fields, fieldURL)))
	}
	return results, nil
}

func stored(fields map[string]any, name string) string {
	text, _ := fields[name].(string)
	return text
}

// Close closes the index.
func (b *bm25) Close() error { return b.index.Close() }
