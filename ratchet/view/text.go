package view

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
)

// Safe is a text on one line with everything visible: control characters as their Unicode pictures, what
// reorders or hides text as its code point. Line breaks count as control characters.
func Safe(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < 0x20:
			b.WriteRune(0x2400 + r) // SYMBOL FOR ...
		case r == 0x7f:
			b.WriteRune('␡')
		case r == utf8.RuneError, isHidden(r):
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isHidden tells characters that a terminal does not show, or that change how it shows others: C1 controls,
// bidirectional formatting, zero-width characters, tags, line separators.
func isHidden(r rune) bool {
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
		unicode.Is(unicode.Co, r) || unicode.Is(unicode.Cs, r) || unicode.Is(unicode.Variation_Selector, r)
}

// Lines is Safe for a text of several lines: its line breaks stand, tabs are spaces, and each line is wrapped
// at words to width columns.
func Lines(text string, width int) []string {
	var all []string
	text = strings.ReplaceAll(strings.TrimRight(text, "\r\n"), "\r\n", "\n")
	for line := range strings.SplitSeq(text, "\n") {
		all = append(all, wrap(Safe(strings.ReplaceAll(line, "\t", "    ")), width)...)
	}
	return all
}

// wrap breaks a line at spaces, and a word that is too long wherever it must.
func wrap(line string, width int) []string {
	width = max(width, 8)
	var all []string
	current := ""
	for _, word := range strings.SplitAfter(line, " ") {
		for lipgloss.Width(current)+lipgloss.Width(strings.TrimRight(word, " ")) > width {
			if current != "" {
				all = append(all, strings.TrimRight(current, " "))
				current = ""
				continue
			}
			head := prefix(word, width)
			all, word = append(all, head), word[len(head):]
		}
		current += word
	}
	return append(all, strings.TrimRight(current, " "))
}

// prefix is as much of a text as fits into width columns, at least one character.
func prefix(text string, width int) string {
	used := 0
	for i, r := range text {
		w := lipgloss.Width(string(r))
		if used+w > width && i > 0 {
			return text[:i]
		}
		used += w
	}
	return text
}

// Cut is Safe, shortened to width columns with an ellipsis.
func Cut(text string, width int) string {
	text = Safe(text)
	if lipgloss.Width(text) <= width {
		return text
	}
	return prefix(text, max(width-1, 1)) + "…"
}

// pad fills a text up to width columns.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-lipgloss.Width(text)))
}
