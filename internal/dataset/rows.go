package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"strings"
)

// Limits that keep a broken file or a compression bomb from using up the memory or the disk, in bytes. What a row is
// read into may take thirty times its bytes: a table of empty cells, an array of empty objects.
const (
	maxRow  = 16 << 20 // twice as much for the first object of a file, which may wrap all its rows
	maxFile = 8 << 30  // after decompression
)

// sniffed is how much of a file decides its form.
const sniffed = 64 << 10

// format yields the rows of a file whose base name is given, for places.
type format func(file string, r *bufio.Reader, limit *limitedReader) iter.Seq2[row, error]

// rows opens a file and yields its rows until the first error.
func rows(ctx context.Context, open Opener, p string) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		body, err := open(ctx, p)
		if err != nil {
			yield(row{}, &Error{Place: p, Problem: "cannot be opened", Err: err, Fix: "check path in run.yaml"})
			return
		}
		defer body.Close()
		file := path.Base(p)
		plain, err := decompress(body)
		if err != nil {
			yield(row{}, unreadable(file, err))
			return
		}
		limit := newLimitedReader(ctx, plain, maxRow, maxFile)
		r := bufio.NewReaderSize(limit, sniffed)
		read, err := sniff(p, r)
		if err != nil {
			yield(row{}, err)
			return
		}
		for row, err := range read(file, r, limit) {
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// decompress sees through gzip, whatever the file is called.
func decompress(body io.Reader) (io.Reader, error) {
	r := bufio.NewReader(body)
	magic, _ := r.Peek(2)
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return r, nil
	}
	return gzip.NewReader(r)
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// sniff tells a file's form by its first bytes, and a table's separator by its name or its first line.
func sniff(p string, r *bufio.Reader) (format, error) {
	head, err := r.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, unreadable(path.Base(p), err)
	}
	if bytes.HasPrefix(head, byteOrderMark) {
		_, _ = r.Discard(len(byteOrderMark)) // peeked, so it is there
		head = head[len(byteOrderMark):]
	}
	text := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case len(text) == 0:
		return nil, &Error{Place: p, Problem: "the file is empty", Expected: "at least one row with a question"}
	case bytes.HasPrefix(head, []byte("PAR1")):
		return parquetRows, nil
	case text[0] == '[':
		return arrayRows, nil
	case text[0] == '{':
		return objectRows, nil
	case text[0] == '<':
		return nil, &Error{
			Place: p, Problem: "this is a web page or XML", Expected: "JSON, JSON lines, CSV, TSV or Parquet",
			Fix: "use the link to the raw file",
		}
	case bytes.IndexByte(head, 0) >= 0:
		return nil, &Error{
			Place: p, Problem: "this is no text in UTF-8", Expected: "JSON, JSON lines, CSV, TSV (in UTF-8) or Parquet, gzipped or not",
			Fix: "save it as UTF-8",
		}
	}
	return tableRows(separator(p, head)), nil
}

// separator is a tab for .tsv, else what the first line has most of.
func separator(p string, head []byte) rune {
	if strings.HasSuffix(strings.TrimSuffix(p, ".gz"), ".tsv") {
		return '\t'
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	best, most := ',', bytes.Count(line, []byte(","))
	for _, c := range "\t;" {
		if n := bytes.Count(line, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

func unreadable(place string, err error) error {
	return &Error{Place: place, Problem: "cannot be read", Err: err, Fix: "check that the file is complete"}
}

// limitedReader ends with an error when a row or the file is too large, or ctx is done.
type limitedReader struct {
	ctx     context.Context
	r       io.Reader
	maxRow  int64
	maxFile int64
	row     int64 // bytes of this row so far, give or take what is buffered
	file    int64 // bytes of the file so far
}

func newLimitedReader(ctx context.Context, r io.Reader, maxRow, maxFile int64) *limitedReader {
	return &limitedReader{ctx: ctx, r: r, maxRow: maxRow, maxFile: maxFile}
}

// nextRow begins a row.
func (l *limitedReader) nextRow() { l.row = 0 }

// allow sets how large a row may be from now on.
func (l *limitedReader) allow(maxRow int64) { l.maxRow = maxRow }

// wholeFile is for forms that do not come row by row.
func (l *limitedReader) wholeFile() { l.maxRow = l.maxFile }

func (l *limitedReader) Read(p []byte) (int, error) {
	switch {
	case l.ctx.Err() != nil:
		return 0, context.Cause(l.ctx)
	case l.file >= l.maxFile:
		return 0, fmt.Errorf("the file is larger than %d MiB uncompressed", l.maxFile>>20)
	case l.row >= l.maxRow:
		return 0, fmt.Errorf("a row is larger than %d MiB", l.maxRow>>20)
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.maxRow-l.row, l.maxFile-l.file)])
	l.row += int64(n)
	l.file += int64(n)
	return n, err
}
