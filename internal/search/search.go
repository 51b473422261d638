package search

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Searcher finds things. Safe for concurrent use.
type Searcher interface {
	// Search is at most k results, best first, without link ids. search.timeout bounds it. Its error is an *Error,
	// unless ctx has ended.
	Search(ctx context.Context, query string, k int) ([]*pb.SearchResult, error)
	// Close frees what Open opened.
	Close() error
}

// Limits of one result, in bytes: what a page has beyond them is cut, because it would be in the prompt, the journal
// and the trajectory.
const (
	maxTitleShown = 1 << 10
	maxSnippet    = 16 << 10
	maxURL        = 2 << 10
)

// result makes a result of whatever a backend found.
func result(title, snippet, url string) *pb.SearchResult {
	return &pb.SearchResult{Title: cut(title, maxTitleShown), Snippet: cut(snippet, maxSnippet), Url: cut(url, maxURL)}
}

// cut is the text, or its beginning and a mark.
func cut(text string, most int) string {
	const mark = " ..."
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(mark)], "") + mark
}

// Getter opens a blob by its URI.
type Getter func(ctx context.Context, uri string) (io.ReadCloser, error)

// Error is a search that failed: the infrastructure's failure, not the policy's.
type Error struct{ Err error }

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// FailureClass of a search's failure.
func (e *Error) FailureClass() pb.FailureClass { return pb.FailureClass_FAILURE_CLASS_SEARCH }

// backend is a kind of search: what its results depend on beside the query, and how to open it.
type backend struct {
	identity string
	open     func(context.Context) (Searcher, error)
}

// Open makes the searcher that a run's tool names. bm25 reads the corpus through get and indexes it, unless
// search.directory has the index; 50,000 passages take about 20 s, and ctx bounds it. Open once per run and share.
func Open(ctx context.Context, cfg config.Search, tool config.SearchTool, get Getter) (Searcher, error) {
	b, err := choose(ctx, cfg, tool, get)
	if err != nil {
		return nil, fmt.Errorf("open search tool %s: %w", tool.Kind, err)
	}
	if cfg.Cache == "replay" {
		return newCache(cfg, b.identity, nil), nil
	}
	searcher, err := b.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open search tool %s: %w", tool.Kind, err)
	}
	if cfg.Cache == "off" {
		return searcher, nil
	}
	return newCache(cfg, b.identity, searcher), nil
}

// choose knows every kind of tool; a new kind is a case here.
func choose(ctx context.Context, cfg config.Search, tool config.SearchTool, get Getter) (backend, error) {
	switch tool.Kind {
	case config.SearchBM25:
		return chooseBM25(ctx, cfg, tool, get)
	case config.SearchRetrieve:
		return chooseRetrieve(cfg, tool)
	}
	return backend{}, fmt.Errorf("unknown kind; use %s or %s in search.kind", config.SearchBM25, config.SearchRetrieve)
}
