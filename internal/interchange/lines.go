package interchange

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// maxLine is the longest line that is read, in bytes: a trajectory of 24 steps with 16 candidates of 32 KiB each, and
// the prompts that verifiers wants beside them, is a tenth of it.
const maxLine = 256 << 20

// line is a line of a file without its end.
type line struct {
	file   string
	number int // from 1
	text   []byte
}

func (l line) place() string { return fmt.Sprintf("%s:%d", l.file, l.number) }

func (l line) wrong(expected, format string, args ...any) *Error {
	return &Error{Place: l.place(), Problem: fmt.Sprintf(format, args...), Expected: expected}
}

// lines yields the lines of a file, empty ones too; text is valid until the next. An error of the reader ends it, and a
// line that is too long.
func lines(file string, r io.Reader, most int) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		var buffer []byte
		for number := 1; ; number++ {
			text, err := readLine(in, buffer[:0], most)
			buffer = text
			l := line{file, number, bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))}
			if number == 1 {
				l.text = bytes.TrimPrefix(l.text, []byte("\ufeff"))
			}
			switch {
			case errors.Is(err, errLineTooLong):
				yield(l, l.wrong(fmt.Sprintf("at most %d bytes", most), "the line is too long"))
				return
			case err != nil && !errors.Is(err, io.EOF):
				yield(l, &Error{Place: l.place(), Problem: "cannot be read", Err: err})
				return
			case len(text) > 0 && !yield(l, nil), err != nil:
				return
			}
		}
	}
}

var errLineTooLong = errors.New("the line is too long")

func readLine(in *bufio.Reader, buffer []byte, most int) ([]byte, error) {
	for {
		chunk, err := in.ReadSlice('\n')
		if len(buffer)+len(chunk) > most {
			return nil, errLineTooLong
		}
		buffer = append(buffer, chunk...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buffer, err
		}
	}
}

// jsonLines yields what read makes of every line that is not empty.
func jsonLines[T any](file string, r io.Reader, read func(line) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for l, err := range lines(file, r, maxLine) {
			var item T
			if err == nil && len(bytes.TrimSpace(l.text)) == 0 {
				continue
			}
			if err == nil {
				item, err = read(l)
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// decode reads a line's only JSON value.
func (l line) decode(into any, expected string) error {
	err := json.Unmarshal(l.text, into)
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType):
		field := wrongType.Field
		if field == "" {
			field = "the line"
		}
		return l.wrong(expected, "%s is %s", field, aOrAn(wrongType.Value))
	}
	return &Error{Place: l.place(), Problem: "this is no JSON", Err: err, Expected: expected}
}

func aOrAn(kind string) string {
	switch {
	case kind == "bool", len(kind) > 0 && bytes.ContainsRune([]byte("sn"), rune(kind[0])):
		return "a " + kind
	}
	return "an " + kind
}
