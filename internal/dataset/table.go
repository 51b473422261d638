package dataset

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// tableRows reads CSV with a header line. In tab-separated files quotes are ordinary characters as often as not,
// so they are taken leniently there.
func tableRows(separator rune) format {
	return func(file string, r *bufio.Reader, limit *limitedReader) iter.Seq2[row, error] {
		return func(yield func(row, error) bool) {
			table := csv.NewReader(r)
			table.Comma = separator
			table.LazyQuotes = separator == '\t'
			header, err := table.Read()
			if err != nil {
				yield(row{}, tableError(file, err))
				return
			}
			for i := 0; ; i++ {
				limit.nextRow()
				cells, err := table.Read()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					yield(row{}, tableError(file, err))
					return
				}
				line, _ := table.FieldPos(0)
				fields := make(map[string]any, len(header))
				for c, name := range header {
					fields[strings.TrimSpace(name)] = cells[c]
				}
				if !yield(row{place: fmt.Sprintf("%s:%d", file, line), index: i, fields: fields}, nil) {
					return
				}
			}
		}
	}
}

func tableError(file string, err error) error {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return unreadable(file, err)
	}
	return &Error{
		Place: fmt.Sprintf("%s:%d", file, parse.StartLine), Problem: "this is no row of the table", Err: parse.Err,
		Expected: "as many fields as the header line has, quotes doubled inside quotes",
	}
}
