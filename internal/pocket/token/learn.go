package token

import (
	"maps"
	"slices"
	"strings"
)

// Learn finds the pieces of a grammar in texts that are written in it: whatever stands between two of the words, or
// between a word and an end, at least `often` times. The result is sorted.
func Learn(texts, words []string, often int) []string {
	known := map[string]bool{}
	for _, w := range words {
		known[w] = true
	}
	counts := map[string]int{}
	for _, text := range texts {
		between(text, known, func(piece string) { counts[piece]++ })
	}
	for p, n := range counts {
		if n < often || len(p) == 1 { // single marks are tokens anyway
			delete(counts, p)
		}
	}
	return slices.Sorted(maps.Keys(counts))
}

// between calls found for each maximal part of the text without a known word; a single space counts as none.
func between(text string, known map[string]bool, found func(piece string)) {
	from := 0
	end := func(at int) {
		if p := text[from:at]; strings.TrimSpace(p) != "" || strings.Contains(p, "\n") {
			found(p)
		}
	}
	for at := 0; at < len(text); {
		n := 1
		if wordByte(text[at]) {
			for at+n < len(text) && wordByte(text[at+n]) {
				n++
			}
			if known[text[at:at+n]] {
				end(at)
				from = at + n
			}
		}
		at += n
	}
	end(len(text))
}
