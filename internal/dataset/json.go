package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
)

// wrapperKeys go first where an object wraps the array of rows.
var wrapperKeys = []string{"data", "rows", "questions", "examples", "items"}

// arrayRows reads a JSON array of objects.
func arrayRows(file string, r *bufio.Reader, limit *limitedReader) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		values := newValueReader(file, r, limit)
		if _, err := values.dec.Token(); err != nil {
			yield(row{}, values.invalid(err))
			return
		}
		for i := 0; values.dec.More(); i++ {
			row, err := values.next(i)
			if !yield(row, err) || err != nil {
				return
			}
		}
		if _, err := values.dec.Token(); err != nil { // the closing bracket
			yield(row{}, values.invalid(err))
		}
	}
}

// objectRows reads JSON lines, that is objects one after the other, or a single object that wraps an array.
func objectRows(file string, r *bufio.Reader, limit *limitedReader) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		values := newValueReader(file, r, limit)
		most := limit.maxRow
		limit.allow(2 * most) // it may wrap all the rows
		for i := 0; ; i++ {
			one, err := values.next(i)
			limit.allow(most)
			if errors.Is(err, io.EOF) {
				return
			}
			rows := []row{one}
			if err == nil && i == 0 && !values.dec.More() {
				rows = wrappedRows(one)
			}
			for _, r := range rows {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// wrappedRows are the rows in the only object of a file: itself, or those of an array of objects in it.
func wrappedRows(only row) []row {
	if isQuestion(only) || answerKey(only, "") != "" {
		return []row{only}
	}
	for _, key := range append(slices.Clone(wrapperKeys), slices.Sorted(maps.Keys(only.fields))...) {
		if list, ok := only.fields[key].([]any); ok && len(list) > 0 && !slices.ContainsFunc(list, isNoObject) {
			rows := make([]row, len(list))
			for i, element := range list {
				place := fmt.Sprintf("%s %s[%d]", only.place, shorten(key), i)
				rows[i] = row{place: place, index: i, fields: unwrap(element.(map[string]any))}
			}
			return rows
		}
	}
	return []row{only}
}

func isNoObject(value any) bool {
	_, ok := value.(map[string]any)
	return !ok
}

func isQuestion(r row) bool {
	_, err := questionText(r, "")
	return err == nil
}

// unwrap takes a row out of the envelope {"row_idx", "row"} that dataset servers put around it.
func unwrap(fields map[string]any) map[string]any {
	if inner, ok := fields["row"].(map[string]any); ok {
		return inner
	}
	return fields
}

// valueReader reads JSON values and knows their lines.
type valueReader struct {
	file  string
	dec   *json.Decoder
	lines *lineCounter
	limit *limitedReader
}

func newValueReader(file string, r io.Reader, limit *limitedReader) *valueReader {
	lines := &lineCounter{r: r}
	return &valueReader{file: file, dec: json.NewDecoder(lines), lines: lines, limit: limit}
}

// next reads the next value, which must be an object; io.EOF if there is none.
func (v *valueReader) next(index int) (row, error) {
	v.limit.nextRow()
	var raw json.RawMessage
	if err := v.dec.Decode(&raw); err != nil {
		if errors.Is(err, io.EOF) {
			return row{}, io.EOF
		}
		return row{}, v.invalid(err)
	}
	place := v.place(v.dec.InputOffset() - int64(len(raw)))
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // an id keeps its digits
	var fields map[string]any
	if err := dec.Decode(&fields); err != nil || fields == nil {
		return row{}, &Error{
			Place: place, Problem: "this row is no object", Found: "it is " + shorten(string(raw)),
			Expected: "an object with the question in a field",
		}
	}
	return row{place: place, index: index, fields: unwrap(fields)}, nil
}

func (v *valueReader) place(offset int64) string {
	return fmt.Sprintf("%s:%d", v.file, v.lines.at(offset))
}

// invalid says where the JSON breaks.
func (v *valueReader) invalid(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{
			Place: v.place(v.lines.read), Problem: "the file ends in the middle of a value",
			Fix: "get the file anew: it is cut off",
		}
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return unreadable(v.place(v.dec.InputOffset()), err)
	}
	return &Error{
		Place: v.place(v.breakAt(syntax)), Problem: "this is no JSON", Err: err,
		Fix: "correct it there, or get the file anew",
	}
}

// breakAt is the offset of a syntax error in the file. Between values the decoder stands on it; inside a value its
// own count leaves out what lies between values, so the value is looked at once more.
func (v *valueReader) breakAt(syntax *json.SyntaxError) int64 {
	start := v.dec.InputOffset()
	if syntax.Offset == start {
		return start
	}
	rest, _ := io.ReadAll(v.dec.Buffered())
	value := bytes.TrimLeft(rest, " \t\r\n,")
	start += int64(len(rest) - len(value))
	var again *json.SyntaxError
	if errors.As(json.Unmarshal(value, new(json.RawMessage)), &again) {
		start += again.Offset - 1
	}
	return start
}

// maxLines bounds what is remembered of lines, in the only object of a file or in a bomb of empty lines.
const maxLines = 4 << 20

// lineCounter remembers where lines end in what was read ahead. Offsets are asked for in rising order.
type lineCounter struct {
	r       io.Reader
	read    int64   // bytes so far
	ends    []int64 // offsets of newlines that were not yet passed
	current int     // lines passed
}

func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	if len(l.ends) > maxLines {
		return n, fmt.Errorf("a row has more than %d lines", maxLines)
	}
	return n, err
}

// at is the line, from 1, of a byte.
func (l *lineCounter) at(offset int64) int {
	passed := 0
	for passed < len(l.ends) && l.ends[passed] < offset {
		passed++
	}
	l.ends = l.ends[passed:]
	l.current += passed
	return l.current + 1
}
