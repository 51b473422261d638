package world

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// The files that Write makes.
const (
	CorpusFile  = "corpus.jsonl"  // {id, title, contents}: what to search
	PoolFile    = "pool.jsonl"    // {id, question}: what to grow on, without answers
	HeldOutFile = "heldout.jsonl" // {id, question, golden_answers}: what to evaluate with
)

type corpusLine struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Contents string `json:"contents"`
}

type questionLine struct {
	ID       string   `json:"id"`
	Question string   `json:"question"`
	Answers  []string `json:"golden_answers,omitempty"`
}

// Write writes the world's three files into dir, which it makes; files that are there are replaced.
func (w *World) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the world's directory: %w", err)
	}
	corpus := make([]corpusLine, len(w.Passages))
	for i, p := range w.Passages {
		corpus[i] = corpusLine{ID: p.ID, Title: p.Title, Contents: p.Text}
	}
	if err := writeLines(filepath.Join(dir, CorpusFile), corpus); err != nil {
		return err
	}
	if err := writeLines(filepath.Join(dir, PoolFile), questionLines(w.PoolQuestions(), false)); err != nil {
		return err
	}
	return writeLines(filepath.Join(dir, HeldOutFile), questionLines(w.HeldOutQuestions(), true))
}

func questionLines(questions []Question, answers bool) []questionLine {
	out := make([]questionLine, len(questions))
	for i, q := range questions {
		out[i] = questionLine{ID: q.ID, Question: q.Text}
		if answers {
			out[i].Answers = []string{q.Answer}
		}
	}
	return out
}

func writeLines[T any](path string, lines []T) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the world: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("write the world: %w", cerr)
		}
	}()
	b := bufio.NewWriter(f)
	enc := json.NewEncoder(b)
	for _, l := range lines {
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
