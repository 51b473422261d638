package search

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
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

// Getter opens a blob by its URI.
type Getter func(ctx context.Context, uri string) (io.ReadCloser, error)

// Error is a search that failed: the infrastructure's failure, not the policy's.
type Error struct {
	Err error
	// Away: the service is not there, or has no capacity. That is nobody's attempt; see Outage.
	Away bool
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Outage is what the bus asks: whoever needs the service waits until it is back.
func (e *Error) Outage() bool { return e.Away }

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
	s, err := open(ctx, cfg, tool, get)
	if err != nil {
		return nil, fmt.Errorf("open search tool %s: %w", tool.Kind, err)
	}
	return s, nil
}

func open(ctx context.Context, cfg config.Search, tool config.SearchTool, get Getter) (Searcher, error) {
	b, err := choose(ctx, cfg, tool, get)
	if err != nil {
		return nil, err
	}
	if cfg.Cache == config.CacheReplay {
		if !tool.MayKeep() {
			return nil, fmt.Errorf("search.cache is replay, but nothing that %s finds is kept; where its terms allow that, record a run with search.retention: true", tool.Kind)
		}
		return newCache(cfg, b.identity, nil), nil
	}
	searcher, err := b.open(ctx)
	if err != nil || cfg.Cache == config.CacheOff || !tool.MayKeep() {
		return searcher, err
	}
	return newCache(cfg, b.identity, searcher), nil
}

// engines are the kinds that are asked over plain HTTP.
var engines = map[string]func(config.SearchTool) (engine, error){
	config.SearchRetrieve: retrieve, config.SearchSearXNG: searxng, config.SearchBrave: brave, config.SearchSerper: serper,
	config.SearchMediaWiki: mediawiki, config.SearchElasticsearch: elasticsearch,
}

// choose knows every kind of tool; a new kind is a case here, or one of engines.
func choose(ctx context.Context, cfg config.Search, tool config.SearchTool, get Getter) (backend, error) {
	switch tool.Kind {
	case config.SearchBM25:
		return chooseBM25(ctx, cfg, tool, get)
	case config.SearchMCP:
		return chooseMCP(cfg, tool)
	}
	makeEngine, ok := engines[tool.Kind]
	if !ok {
		return backend{}, fmt.Errorf("unknown kind; use %s, %s or %s in search.kind", config.SearchBM25, config.SearchMCP,
			strings.Join(slices.Sorted(maps.Keys(engines)), ", "))
	}
	e, err := makeEngine(tool)
	if err != nil {
		return backend{}, err
	}
	return backend{
		identity: e.identity(tool),
		open:     func(context.Context) (Searcher, error) { return openWeb(cfg, e) },
	}, nil
}

// identity is what an engine's results depend on beside the query.
func (e engine) identity(tool config.SearchTool) string {
	if len(tool.Fields) == 0 {
		return tool.Kind + " " + e.url
	}
	return fmt.Sprintf("%s %s %v", tool.Kind, e.url, tool.Fields) // maps print in the order of their keys
}
