package dataset

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/parquet-go/parquet-go"
)

// parquetRows reads Parquet, which is read from its end: through a temporary file.
func parquetRows(file string, r *bufio.Reader, limit *limitedReader) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		limit.wholeFile()
		spool, size, err := spoolFile(r)
		if err != nil {
			yield(row{}, unreadable(file, err))
			return
		}
		defer spool.Close()
		reader, err := openParquet(spool, size)
		if err != nil {
			yield(row{}, unreadable(file, err))
			return
		}
		for i := 0; ; i++ {
			fields, err := reader.next()
			if errors.Is(err, io.EOF) {
				break
			}
			place := fmt.Sprintf("%s: row %d", file, i+1)
			if err != nil {
				yield(row{}, unreadable(place, err))
				return // without Close: see recovered
			}
			if !yield(row{place: place, index: i, fields: fields}, nil) {
				break
			}
		}
		_ = reader.Close() // the file was read: nothing is lost by an error now
	}
}

func spoolFile(r io.Reader) (*os.File, int64, error) {
	f, err := os.CreateTemp("", "ratchet-parquet-*")
	if err != nil {
		return nil, 0, err
	}
	_ = os.Remove(f.Name()) // it stays open, and is gone with this process, however that ends
	size, err := io.Copy(f, r)
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, size, nil
}

// parquetReader reads rows as plain values.
type parquetReader struct {
	*parquet.GenericReader[any]
	columns int // leaves, each of which is in every row
}

func openParquet(r io.ReaderAt, size int64) (reader parquetReader, err error) {
	defer recovered(&err)
	if err := checkFooter(r, size); err != nil {
		return reader, err
	}
	f, err := parquet.OpenFile(r, size)
	if err != nil {
		return reader, err
	}
	return parquetReader{parquet.NewGenericReader[any](f), len(f.Schema().Columns())}, nil
}

// checkFooter checks how long the file says its metadata is: the library would make room for up to 4 GiB of it.
func checkFooter(r io.ReaderAt, size int64) error {
	const magic, footer = 4, 8 // PAR1 at the beginning; the length and PAR1 at the end
	if size < magic+footer {
		return io.ErrUnexpectedEOF
	}
	var end [footer]byte
	if _, err := r.ReadAt(end[:], size-footer); err != nil {
		return err
	}
	if length := int64(binary.LittleEndian.Uint32(end[:])); length > size-magic-footer {
		return fmt.Errorf("damaged Parquet: %d bytes of metadata in a file of %d", length, size)
	}
	return nil
}

// next reads a row; io.EOF if there is none.
func (r parquetReader) next() (fields map[string]any, err error) {
	defer recovered(&err)
	rows := make([]parquet.Row, 1)
	n, err := r.ReadRows(rows)
	if n == 0 {
		if err == nil {
			err = io.ErrNoProgress
		}
		return nil, err
	}
	// The library would fill a missing column with that of a row read before, be it of another file.
	if found := columnsOf(rows[0]); found != r.columns {
		return nil, fmt.Errorf("damaged Parquet: a row of %d columns out of %d", found, r.columns)
	}
	var value any
	if err := r.Schema().Reconstruct(&value, rows[0]); err != nil {
		return nil, err
	}
	fields, ok := plain(value).(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the row is of type %T", value)
	}
	return fields, nil
}

func columnsOf(r parquet.Row) int {
	n := 0
	r.Range(func(int, []parquet.Value) bool {
		n++
		return true
	})
	return n
}

// recovered makes an error of a panic: the library panics on some damaged files. What it was reading then stays with
// the garbage collector, because closing it would hand buffers in use back to the library's pools.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("damaged Parquet: %v", p)
	}
}

// plain takes the groups list.element, which Parquet puts around the elements of a list, out of a value.
func plain(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if list, ok := listIn(v); ok {
			return plain(list)
		}
		for key, inner := range v {
			v[key] = plain(inner)
		}
		return v
	case []any:
		for i, inner := range v {
			v[i] = plain(element(inner))
		}
		return v
	}
	return value
}

func listIn(group map[string]any) ([]any, bool) {
	if len(group) != 1 {
		return nil, false
	}
	list, ok := group["list"].([]any)
	return list, ok
}

func element(value any) any {
	group, ok := value.(map[string]any)
	if !ok || len(group) != 1 {
		return value
	}
	for _, name := range []string{"element", "item"} {
		if inner, ok := group[name]; ok {
			return inner
		}
	}
	return value
}
