package bridge

import (
	"bytes"
	"os"
)

// maxLine is the longest line of progress, in bytes; longer ones are skipped.
const maxLine = 64 << 10

// lineReader reads the whole lines that a growing file has so far. A file that is not there has none.
type lineReader struct {
	path string
	file *os.File
	rest []byte // of a line that has not ended yet
	skip bool   // rest belonged to a line that is too long
}

// each calls fn with every line that was completed since the last call.
func (r *lineReader) each(fn func(line []byte)) {
	if r.file == nil {
		file, err := os.Open(r.path)
		if err != nil {
			return
		}
		r.file = file
	}
	chunk := make([]byte, 32<<10)
	for {
		n, err := r.file.Read(chunk)
		r.take(chunk[:n], fn)
		if err != nil || n == 0 { // io.EOF: that is all for now
			return
		}
	}
}

func (r *lineReader) take(chunk []byte, fn func([]byte)) {
	for {
		line, rest, found := bytes.Cut(chunk, []byte("\n"))
		r.rest = append(r.rest, line...)
		if len(r.rest) > maxLine {
			r.rest, r.skip = r.rest[:0], true
		}
		if !found {
			return
		}
		if !r.skip {
			fn(r.rest)
		}
		r.rest, r.skip = r.rest[:0], false
		chunk = rest
	}
}

func (r *lineReader) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}
