package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/dataset"
	"github.com/ratchet-rl/ratchet/internal/search"
)

// loader reads what a run needs from the operator's disk and puts it where every role can read it.
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

func (l loader) pool(ctx context.Context, source *config.Source) error {
	questions, warnings, err := dataset.LoadPool(ctx, l.opener(), *source)
	if err != nil {
		return err
	}
	l.warn(*source, warnings)
	return l.questions(ctx, source, questions)
}

func (l loader) evaluation(ctx context.Context, source *config.Source) error {
	questions, gold, warnings, err := dataset.LoadEvaluation(ctx, l.opener(), *source)
	if err != nil {
		return err
	}
	l.warn(*source, warnings)
	if err := l.questions(ctx, source, questions); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := dataset.WriteGold(&text, gold); err != nil {
		return fmt.Errorf("write the answers of %s: %w", source.Path, err)
	}
	source.GoldURI, err = l.keep(ctx, "gold", text.Bytes())
	return err
}

func (l loader) questions(ctx context.Context, source *config.Source, questions []dataset.Question) error {
	if len(questions) == 0 {
		return usage(fmt.Errorf("%s holds no questions", source.Path), "check the file, and the limit")
	}
	var text bytes.Buffer
	if err := dataset.WriteQuestions(&text, questions); err != nil {
		return fmt.Errorf("write the questions of %s: %w", source.Path, err)
	}
	var err error
	source.Count = len(questions)
	source.URI, err = l.keep(ctx, "questions", text.Bytes())
	return err
}

func (l loader) warn(source config.Source, warnings []dataset.Warning) {
	for _, w := range warnings {
		l.note("warning: %s: %s", source.Path, w)
	}
}

// keep puts content into the blob store.
func (l loader) keep(ctx context.Context, prefix string, data []byte) (string, error) {
	if l.blobs == nil {
		return "", nil
	}
	ref, err := blob.PutContent(ctx, l.blobs, prefix, "jsonl", data)
	if err != nil {
		return "", fmt.Errorf("put %s into the blob store: %w", prefix, err)
	}
	return ref.URI, nil
}

// maxCorpus bounds the copy, as indexing bounds what is in it.
const maxCorpus = search.MaxCorpus

// corpus puts the corpus into the blob store by way of a temporary file: it may be larger than memory, and its
// name is its hash.
func (l loader) corpus(ctx context.Context, tool *config.SearchTool) (err error) {
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
	file, err := os.CreateTemp("", "ratchet-corpus-*")
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(file, hash), io.LimitReader(body, maxCorpus+1))
	if err != nil {
		return fmt.Errorf("read the corpus %s: %w", tool.Corpus, err)
	}
	if size > maxCorpus {
		return usage(fmt.Errorf("the corpus %s is larger than %d GiB", tool.Corpus, maxCorpus>>30), "check the URL, or split the corpus")
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the corpus again: %w", err)
	}
	key := "corpora/" + hex.EncodeToString(hash.Sum(nil)) + corpusSuffix(tool.Corpus)
	if _, err := l.blobs.PutIfAbsent(ctx, key, file, size); err != nil {
		return fmt.Errorf("put the corpus into the blob store: %w", err)
	}
	tool.URI = l.blobs.URI(key)
	return nil
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
