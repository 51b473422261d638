package sheet

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// longestCell is what a cell of the common spreadsheets holds, in characters; they lose the rest without a word.
const longestCell = 32_767

const cutMark = " [cut]"

// Writer writes rows below a head.
type Writer struct{ csv *csv.Writer }

// NewWriter writes the head.
func NewWriter(w io.Writer, head ...string) *Writer {
	out := &Writer{csv.NewWriter(w)}
	out.Row(head...)
	return out
}

// Row writes one row. Close tells of errors.
func (w *Writer) Row(cells ...string) {
	safe := make([]string, len(cells))
	for i, cell := range cells {
		safe[i] = neutral(Fit(cell))
	}
	_ = w.csv.Write(safe) // kept, for Close
}

// Close writes what is left.
func (w *Writer) Close() error {
	w.csv.Flush()
	if err := w.csv.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// Fit is a text as it stands in a cell: what Read gives back of it. Carriage returns, which CSV has no
// sure way to keep, are dropped, and cells have an end.
func Fit(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\r", "")
	if utf8.RuneCountInString(text) < longestCell { // one is for the apostrophe
		return text
	}
	return string([]rune(text)[:longestCell-1-len(cutMark)]) + cutMark
}

// dangerous is what formulas begin with, in ASCII and in full width, and what spreadsheets skip before one.
const dangerous = "=+-@\t\r\n＝＋－＠"

const apostrophe = "'"

func neutral(cell string) string {
	if r, _ := utf8.DecodeRuneInString(cell); cell != "" && (strings.ContainsRune(dangerous, r) || strings.HasPrefix(cell, apostrophe)) {
		return apostrophe + cell
	}
	return cell
}

// Same tells whether a cell that was read is a text that was written. Some spreadsheets (Gnumeric) take the apostrophe for a
// mark of their own and save the cell without it.
func Same(cell, text string) bool {
	return strings.TrimLeft(cell, apostrophe) == strings.TrimLeft(Fit(text), apostrophe)
}

func restored(cell string) string { return strings.TrimPrefix(cell, apostrophe) }
