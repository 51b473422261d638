package sheet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ratchet-rl/ratchet/internal/dataset"
)

// Row is a row of a file.
type Row struct {
	// Place is file:line.
	Place string

	cells map[string]string
}

// Cell is a column's text, empty if there is no such column.
func (r Row) Cell(column string) string { return r.cells[column] }

// Word is a column's text without the blanks around it, for what people type.
func (r Row) Word(column string) string { return strings.TrimSpace(r.cells[column]) }

// Wrong is an error about the row.
func (r Row) Wrong(problem, expected, fix string) error {
	return &dataset.Error{Place: r.Place, Problem: problem, Expected: expected, Fix: fix}
}

// Read reads a file that has the wanted columns. Rows without any text are left out.
func Read(file string, wanted ...string) ([]Row, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the sheet: %w", err)
	}
	return parse(file, data, wanted)
}

func parse(file string, data []byte, wanted []string) ([]Row, error) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if !utf8.Valid(data) {
		return nil, &dataset.Error{Place: file, Problem: "this is no text in UTF-8", Expected: "CSV", Fix: "save the sheet as CSV UTF-8"}
	}
	in := csv.NewReader(bytes.NewReader(data))
	in.Comma, in.ReuseRecord = separator(data), false
	head, err := in.Read()
	if err != nil {
		return nil, broken(file, err)
	}
	for i, name := range head {
		head[i] = strings.ToLower(strings.TrimSpace(name))
	}
	for _, name := range wanted {
		if !slices.Contains(head, name) {
			return nil, &dataset.Error{
				Place: file + ":1", Problem: "no column " + name, Found: "columns: " + strings.Join(head, ", "),
				Expected: "at least " + strings.Join(wanted, ", "), Fix: "keep the first line as it was exported",
			}
		}
	}
	var rows []Row
	for {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, broken(file, err)
		}
		if strings.TrimSpace(strings.Join(cells, "")) == "" {
			continue
		}
		line, _ := in.FieldPos(0)
		row := Row{Place: fmt.Sprintf("%s:%d", file, line), cells: map[string]string{}}
		for i, cell := range cells {
			row.cells[head[i]] = restored(cell)
		}
		rows = append(rows, row)
	}
}

// separator is the one that the head has most of.
func separator(data []byte) rune {
	head, _, _ := bytes.Cut(data, []byte("\n"))
	best := ','
	for _, r := range ";\t" {
		if bytes.Count(head, []byte(string(r))) > bytes.Count(head, []byte(string(best))) {
			best = r
		}
	}
	return best
}

// broken is an error of the CSV itself.
func broken(file string, err error) error {
	var wrong *csv.ParseError
	if !errors.As(err, &wrong) {
		return &dataset.Error{Place: file, Problem: "nothing in it", Expected: "CSV with a first line that names the columns", Err: ignoreEOF(err)}
	}
	place := fmt.Sprintf("%s:%d", file, wrong.Line)
	if errors.Is(err, csv.ErrFieldCount) {
		return &dataset.Error{Place: place, Problem: "another number of cells than the first line has", Expected: "a cell for each column", Fix: "save the sheet as CSV again"}
	}
	return &dataset.Error{Place: place, Problem: "no CSV", Err: wrong.Err, Expected: "quotes around cells that hold separators, quotes or line breaks", Fix: "save the sheet as CSV again"}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
