package view

import (
	"fmt"
	"time"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Results prints what a search found, width columns wide, and how long opening and searching took.
func Results(found []*pb.SearchResult, opening, searching time.Duration, width int, p Paint) string {
	w := page{width: max(width, 40), paint: p}
	for i, r := range found {
		w.result(fmt.Sprintf("  %d", i+1), r)
	}
	count := fmt.Sprintf("%d results", len(found))
	switch len(found) {
	case 0:
		count = "nothing found"
	case 1:
		count = "1 result"
	}
	w.line("%s in %d ms (opened in %d ms)", p.Bold(count), searching.Milliseconds(), opening.Milliseconds())
	return w.String()
}

// result prints a search result beside its label.
func (w *page) result(label string, r *pb.SearchResult) {
	w.labelled(label, r.GetTitle())
	w.block(10, r.GetSnippet())
	if r.GetUrl() != "" {
		w.block(10, r.GetUrl())
	}
}
