package view

import (
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/ratchet-rl/ratchet/internal/telemetry"
)

// Safe is a text on one line with everything visible, a terminal's commands included; see telemetry.Visible.
func Safe(text string) string { return telemetry.Visible(text) }

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
