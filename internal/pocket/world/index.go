package world

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"unicode"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Index is BM25 over a world's passages, enough to train a base by; a run searches through internal/search.
type Index struct {
	passages []Passage
	postings map[string][]posting
	length   []float64
	mean     float64
}

type posting struct {
	passage int
	count   float64
}

// BM25's usual constants.
const k1, bias = 1.2, .75

// NewIndex indexes the passages' texts.
func NewIndex(passages []Passage) *Index {
	x := &Index{passages: passages, postings: map[string][]posting{}, length: make([]float64, len(passages))}
	for i, p := range passages {
		counts := map[string]float64{}
		for _, t := range terms(p.Text) {
			counts[t]++
			x.length[i]++
			x.mean += 1 / float64(len(passages))
		}
		for t, n := range counts {
			x.postings[t] = append(x.postings[t], posting{i, n})
		}
	}
	return x
}

// Search returns the k best passages, best first; equal scores in the passages' order. It never fails: the error is
// there to be an agent's tool.
func (x *Index) Search(_ context.Context, query string, k int) ([]*pb.SearchResult, error) {
	scores := map[int]float64{}
	for _, t := range terms(query) {
		list := x.postings[t]
		idf := math.Log(1 + (float64(len(x.passages))-float64(len(list))+.5)/(float64(len(list))+.5))
		for _, p := range list {
			norm := k1 * (1 - bias + bias*x.length[p.passage]/x.mean)
			scores[p.passage] += idf * p.count * (k1 + 1) / (p.count + norm)
		}
	}
	found := make([]int, 0, len(scores))
	for i := range scores {
		found = append(found, i)
	}
	slices.SortFunc(found, func(a, b int) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	out := make([]*pb.SearchResult, 0, k)
	for _, i := range found[:min(k, len(found))] {
		out = append(out, &pb.SearchResult{Title: x.passages[i].Title, Snippet: x.passages[i].Text})
	}
	return out, nil
}

func terms(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
