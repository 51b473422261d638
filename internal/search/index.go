package search

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/blevesearch/bleve/v2"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/en" // the analyzer that the mapping names
	"github.com/blevesearch/bleve/v2/mapping"
)

// indexVersion is in the name of an index: a change of the mapping must change it.
const indexVersion = "bm25-2"

// Fields of an index: fieldText is searched, the others are kept as they are.
const (
	fieldTitle   = "title"
	fieldSnippet = "snippet"
	fieldURL     = "url"
	fieldText    = "text"
)

// abandoned is the age at which a half-built index belongs to nobody any more.
const abandoned = 24 * time.Hour

// openIndex opens the corpus's index below directory, and builds it first if it is not there.
func openIndex(ctx context.Context, directory string, c corpus) (bleve.Index, error) {
	directory = filepath.Join(directory, "index")
	path := filepath.Join(directory, indexVersion+"-"+c.sha256)
	if !isThere(path) {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return nil, fmt.Errorf("make search.directory: %w", err)
		}
		sweep(directory)
		if err := build(ctx, c, path); err != nil {
			return nil, fmt.Errorf("build index: %w", err)
		}
	}
	// Read-only, an index takes a shared lock: any number of processes may have it open.
	index, err := bleve.OpenUsing(path, map[string]any{"read_only": true, "bolt_timeout": "10s"})
	if err != nil {
		return nil, fmt.Errorf("open index: %w; remove %s, and it will be built again", err, path)
	}
	return index, nil
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sweep removes what crashed builds left.
func sweep(directory string) {
	left, _ := filepath.Glob(filepath.Join(directory, "building-*"))
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > abandoned {
			_ = os.RemoveAll(path)
		}
	}
}

// build makes the index aside and renames it into place, where who comes second finds it.
func build(ctx context.Context, c corpus, path string) (err error) {
	aside, err := os.MkdirTemp(filepath.Dir(path), "building-*")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	made := filepath.Join(aside, "index")
	if err := fill(ctx, c, made, aside); err != nil {
		return err
	}
	if err := os.Rename(made, path); err != nil && !isThere(path) {
		return fmt.Errorf("put the index in its place: %w", err)
	}
	return nil
}

func fill(ctx context.Context, c corpus, path, scratch string) error {
	builder, err := bleve.NewBuilder(path, indexMapping(), map[string]any{"buildPathPrefix": scratch})
	if err != nil {
		return fmt.Errorf("begin index: %w", err)
	}
	count := 0
	err = c.each(ctx, func(line int, d document) error {
		count++
		title, text := d.parts()
		// The id is the place in the corpus, so that equal scores keep its order.
		return builder.Index(fmt.Sprintf("%012d", line), map[string]any{
			fieldTitle: title, fieldSnippet: text, fieldURL: d.URL, fieldText: title + "\n" + text,
		})
	})
	if count == 0 { // bleve's builder panics when it is closed empty
		return errors.Join(err, fmt.Errorf("corpus %s: no documents; expected JSON lines of {id, title, contents}", c.uri))
	}
	return errors.Join(err, builder.Close())
}

// indexMapping analyses English: lower case, stop words, stems.
func indexMapping() *mapping.IndexMappingImpl {
	kept := bleve.NewTextFieldMapping()
	kept.Index, kept.IncludeInAll, kept.DocValues, kept.IncludeTermVectors = false, false, false, false
	searched := bleve.NewTextFieldMapping()
	searched.Store, searched.IncludeInAll, searched.DocValues, searched.IncludeTermVectors = false, false, false, false
	searched.Analyzer = "en"

	doc := bleve.NewDocumentStaticMapping()
	doc.AddFieldMappingsAt(fieldTitle, kept)
	doc.AddFieldMappingsAt(fieldSnippet, kept)
	doc.AddFieldMappingsAt(fieldURL, kept)
	doc.AddFieldMappingsAt(fieldText, searched)

	m := bleve.NewIndexMapping()
	m.DefaultMapping = doc
	m.DefaultAnalyzer = "en"
	m.ScoringModel = "bm25" // bleve's default is TF-IDF
	return m
}
