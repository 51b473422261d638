package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/ratchet-rl/ratchet/internal/bus"
)

// Limits bound what is unpacked.
type Limits struct {
	// Bytes of all entries together.
	Bytes int64
}

// entry is one of an archive, while it is read.
type entry struct {
	parsed
	name string
	size int64
	body io.Reader
}

// walker reads an archive from its beginning and checks its form.
type walker struct {
	tar      *tar.Reader
	limits   Limits
	manifest Manifest // as counted
	sum      interface {
		io.Writer
		Sum(b []byte) []byte
	}
	last parsed
	name string
}

// walk visits the entries in their order and returns the manifest, which agrees with what was read. It takes the memory
// of the compressor's window, whatever the archive says.
func walk(ctx context.Context, file io.ReadSeeker, limits Limits, visit func(*entry) error) (Manifest, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return Manifest{}, err
	}
	zip, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxChunk))
	if err != nil {
		return Manifest{}, err
	}
	defer zip.Close()
	w := &walker{tar: tar.NewReader(zip), limits: limits, sum: sha256.New(), manifest: Manifest{Messages: map[string]int64{}}, last: parsed{place: placeBeginning}}
	for {
		if err := ctx.Err(); err != nil {
			return Manifest{}, context.Cause(ctx)
		}
		e, err := w.next()
		if err != nil {
			return Manifest{}, err
		}
		if e.place == placeManifest {
			return w.end(e, zip)
		}
		if err := w.visit(e, visit); err != nil {
			return Manifest{}, err
		}
	}
}

// next reads an entry's header.
func (w *walker) next() (*entry, error) {
	header, err := w.tar.Next()
	if errors.Is(err, io.EOF) {
		return nil, damaged("it ends without its manifest: it was cut")
	}
	if err != nil {
		return nil, damaged("%w", err)
	}
	p, err := parseName(header.Name)
	if err != nil {
		return nil, err
	}
	if header.Typeflag != tar.TypeReg {
		return nil, damaged("%s is not a plain file", header.Name)
	}
	if p.place < w.last.place || p.place == w.last.place && header.Name <= w.name || w.last.place == placeBeginning && p.place != placeHeader {
		return nil, damaged("%s stands in the wrong place", header.Name)
	}
	if limit := p.limit(); limit > 0 && header.Size > limit {
		return nil, damaged("%s has %d bytes, more than %d", header.Name, header.Size, limit)
	}
	if header.Size > w.limits.Bytes-w.manifest.Bytes {
		return nil, fmt.Errorf("it unpacks to more than %d bytes", w.limits.Bytes)
	}
	w.last, w.name = p, header.Name
	return &entry{parsed: p, name: header.Name, size: header.Size, body: w.tar}, nil
}

// visit counts and hashes an entry while it is read; what the visitor leaves is read too.
func (w *walker) visit(e *entry, visit func(*entry) error) error {
	fmt.Fprintf(w.sum, "%s\x00%d\x00", e.name, e.size)
	w.manifest.Entries++
	w.manifest.Bytes += e.size
	if e.key != "" {
		w.manifest.Blobs++
	}
	e.body = io.TeeReader(w.tar, w.sum)
	if e.place == placeHeader {
		return w.header(e)
	}
	if e.stream != "" {
		count := &lineCounter{}
		e.body = io.TeeReader(e.body, count)
		defer func() { w.manifest.Messages[e.stream] += count.lines }()
	}
	if err := visit(e); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, e.body); err != nil {
		return damaged("%s: %w", e.name, err)
	}
	return nil
}

func (w *walker) header(e *entry) error {
	if err := e.decode(&w.manifest.Header); err != nil {
		return err
	}
	if w.manifest.Version != version {
		return damaged("it has form %d; this program reads form %d", w.manifest.Version, version)
	}
	return nil
}

// end compares the manifest with what was read.
func (w *walker) end(e *entry, zip io.Reader) (Manifest, error) {
	w.manifest.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	said, err := io.ReadAll(e.body)
	if err != nil {
		return Manifest{}, damaged("%s: %w", e.name, err)
	}
	counted, err := json.MarshalIndent(w.manifest, "", "  ")
	if err != nil {
		return Manifest{}, err
	}
	if !bytes.Equal(said, counted) {
		return Manifest{}, damaged("its manifest does not agree with what it holds")
	}
	if _, err := w.tar.Next(); !errors.Is(err, io.EOF) {
		return Manifest{}, damaged("something follows its manifest")
	}
	if n, err := zip.Read(make([]byte, 1)); n > 0 {
		return Manifest{}, damaged("something follows its end")
	} else if !errors.Is(err, io.EOF) {
		return Manifest{}, damaged("%w", err)
	}
	return w.manifest, nil
}

// bytes reads an entry whose size is bounded by its place.
func (e *entry) bytes() ([]byte, error) {
	data, err := io.ReadAll(e.body)
	if err != nil {
		return nil, damaged("%s: %w", e.name, err)
	}
	return data, nil
}

// decode reads an entry of JSON.
func (e *entry) decode(into any) error {
	data, err := e.bytes()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return damaged("%s: %w", e.name, err)
	}
	return nil
}

// messages reads an entry of messages, each of which must be the run's.
func (e *entry) messages(run string, take func(bus.Stored) error) error {
	lines := json.NewDecoder(e.body)
	lines.DisallowUnknownFields()
	for {
		var s bus.Stored
		if err := lines.Decode(&s); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return damaged("%s: %w", e.name, err)
		}
		if err := s.Check(run); err != nil {
			return damaged("%s: %w", e.name, err)
		}
		if bus.StreamOf(s.Subject) != e.stream {
			return damaged("%s: %s is no subject of the stream", e.name, s.Subject)
		}
		if err := take(s); err != nil {
			return err
		}
	}
}

// lineCounter counts lines.
type lineCounter struct{ lines int64 }

func (c *lineCounter) Write(p []byte) (int, error) {
	c.lines += int64(bytes.Count(p, []byte("\n")))
	return len(p), nil
}
