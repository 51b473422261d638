package view

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// Table is rows of cells below a head, without borders: one record a line, so that grep and cut work on it.
type Table struct {
	Head []string
	Rows [][]string
}

// Add appends a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// String prints the table, each column as wide as its widest cell.
func (t *Table) String() string { return t.Print(Paint{}) }

// Print is String with a painted head.
func (t *Table) Print(p Paint) string {
	widths := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	var b strings.Builder
	line := func(row []string) string {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = pad(cell, widths[i])
		}
		return strings.TrimRight(strings.Join(cells, "  "), " ")
	}
	b.WriteString(p.Bold(line(t.Head)) + "\n")
	for _, row := range t.Rows {
		b.WriteString(line(row) + "\n")
	}
	return b.String()
}
