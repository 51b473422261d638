package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/dataset"
	"github.com/ratchet-rl/ratchet/internal/search"
)

// loader reads what a run needs from the operator's disk and puts it where every role can read it. Nothing of it is
// held in memory but what tells repeated questions, about 80 bytes each.
type loader struct {
	// dir is what relative paths begin at: the run file's folder.
	dir  string
	blob config.Blob
	// blobs is nil for a dry run: everything is read, nothing is kept.
	blobs blob.Store
	note  func(format string, args ...any)
}

// load fills in the run's URIs and counts. Questions and answers lie apart, so that a role which may read one
// need not see the other. Of the locked set only the questions are read, to keep them out of the mixture.
func (l loader) load(ctx context.Context, run *config.Run) error {
	if err := l.pool(ctx, &run.Questions); err != nil {
		return err
	}
	if err := l.evaluation(ctx, &run.Evaluation.Set); err != nil {
		return err
	}
	if locked := run.Evaluation.Locked; locked != nil {
		if err := l.pool(ctx, locked); err != nil {
			return err
		}
	}
	if labels := run.Strategy.Labels; labels != nil {
		if err := l.evaluation(ctx, labels); err != nil {
			return err
		}
	}
	return l.corpus(ctx, &run.Search)
}

// still puts back what was collected between its upload and the submission: until then nothing pointed at it.
func (l loader) still(ctx context.Context, run config.Run) error {
	for _, uri := range archive.SpecURIs(run) {
		key, err := l.blobs.Key(uri)
		if err != nil {
			return err
		}
		_, err = l.blobs.Stat(ctx, key)
		if errors.Is(err, blob.ErrNotFound) {
			return l.load(ctx, &run)
		}
		if err != nil {
			return fmt.Errorf("look for what was uploaded: %w", err)
		}
	}
	return nil
}

func (l loader) pool(ctx context.Context, source *config.Source) error {
	questions, err := newSpool()
	if err != nil {
		return err
	}
	defer questions.close()
	write := dataset.NewLines[dataset.Question](questions).Write
	count := 0
	warnings, err := dataset.LoadPool(ctx, l.opener(), *source, func(q dataset.Question) error {
		count++
		return write(q)
	})
	if err != nil {
		return err
	}
	l.warn(*source, warnings)
	source.Count = count
	source.URI, err = l.keep(ctx, questions, "questions", ".jsonl")
	return err
}

func (l loader) evaluation(ctx context.Context, source *config.Source) error {
	questions, err := newSpool()
	if err != nil {
		return err
	}
	defer questions.close()
	gold, err := newSpool()
	if err != nil {
		return err
	}
	defer gold.close()
	write, writeGold := dataset.NewLines[dataset.Question](questions).Write, dataset.NewLines[dataset.Gold](gold).Write
	count := 0
	warnings, err := dataset.LoadEvaluation(ctx, l.opener(), *source, func(q dataset.Question, g dataset.Gold) error {
		count++
		return errors.Join(write(q), writeGold(g))
	})
	if err != nil {
		return err
	}
	l.warn(*source, warnings)
	source.Count = count
	if source.URI, err = l.keep(ctx, questions, "questions", ".jsonl"); err != nil {
		return err
	}
	source.GoldURI, err = l.keep(ctx, gold, "gold", ".jsonl")
	return err
}

func (l loader) warn(source config.Source, warnings []dataset.Warning) {
	for _, w := range warnings {
		l.note("warning: %s: %s", source.Path, w)
	}
}

// keep puts what was spooled into the blob store and returns its URI; none in a dry run.
func (l loader) keep(ctx context.Context, s *spool, prefix, ext string) (string, error) {
	if l.blobs == nil {
		return "", nil
	}
	uri, err := s.keep(ctx, l.blobs, prefix, ext)
	if err != nil {
		return "", fmt.Errorf("put %s into the blob store: %w", prefix, err)
	}
	return uri, nil
}

// maxCorpus bounds the copy, as indexing bounds what is in it.
const maxCorpus = search.MaxCorpus

// corpus puts the corpus into the blob store; it may be larger than memory.
func (l loader) corpus(ctx context.Context, tool *config.SearchTool) error {
	if tool.Corpus == "" {
		return nil
	}
	body, err := l.opener()(ctx, tool.Corpus)
	if err != nil {
		return usage(fmt.Errorf("read the corpus (search.corpus): %w", err), "paths are relative to the run file")
	}
	defer body.Close()
	if l.blobs == nil {
		return nil
	}
	corpus, err := newSpool()
	if err != nil {
		return err
	}
	defer corpus.close()
	size, err := io.Copy(corpus, io.LimitReader(body, maxCorpus+1))
	if err != nil {
		return fmt.Errorf("read the corpus %s: %w", tool.Corpus, err)
	}
	if size > maxCorpus {
		return usage(fmt.Errorf("the corpus %s is larger than %d GiB", tool.Corpus, maxCorpus>>30), "check the URL, or split the corpus")
	}
	tool.URI, err = l.keep(ctx, corpus, "corpora", corpusSuffix(tool.Corpus))
	return err
}

func corpusSuffix(path string) string {
	if strings.HasSuffix(path, ".gz") {
		return ".jsonl.gz"
	}
	return ".jsonl"
}

// opener opens paths relative to the run file, URLs and s3:// objects.
func (l loader) opener() dataset.Opener {
	open := dataset.Open(func(ctx context.Context, uri string) (io.ReadCloser, error) { return blob.OpenURI(ctx, l.blob, uri) })
	return func(ctx context.Context, path string) (io.ReadCloser, error) {
		if !strings.Contains(path, "://") && !filepath.IsAbs(path) {
			path = filepath.Join(l.dir, path)
		}
		return open(ctx, path)
	}
}
