package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// packer writes an archive's entries.
type packer struct {
	zip      *zstd.Encoder
	tar      *tar.Writer
	sum      hash.Hash
	manifest Manifest
}

func newPacker(w io.Writer, run string) (*packer, error) {
	// One goroutine and one level: the same run gives the same bytes.
	zip, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	header := Header{Version: version, Run: run}
	p := &packer{zip: zip, tar: tar.NewWriter(zip), sum: sha256.New(), manifest: Manifest{Header: header, Messages: map[string]int64{}}}
	return p, p.record(headerName, header)
}

// record adds a small entry of JSON.
func (p *packer) record(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return p.bytes(name, append(text, '\n'))
}

func (p *packer) bytes(name string, data []byte) error {
	return p.add(name, int64(len(data)), bytes.NewReader(data))
}

// add adds an entry. Nothing of its header differs between two archives but name and size.
func (p *packer) add(name string, size int64, body io.Reader) error {
	fmt.Fprintf(p.sum, "%s\x00%d\x00", name, size)
	p.manifest.Entries++
	p.manifest.Bytes += size
	return p.write(name, size, io.TeeReader(body, p.sum))
}

func (p *packer) write(name string, size int64, body io.Reader) error {
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	}
	if err := p.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	n, err := io.Copy(p.tar, body)
	if err == nil && n != size {
		err = fmt.Errorf("it has %d bytes, expected %d", n, size)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// close adds the manifest and ends the file.
func (p *packer) close() (Manifest, error) {
	p.manifest.SHA256 = hex.EncodeToString(p.sum.Sum(nil))
	text, err := json.MarshalIndent(p.manifest, "", "  ")
	if err != nil {
		return p.manifest, fmt.Errorf("encode the manifest: %w", err)
	}
	if err := p.write(manifestName, int64(len(text)), bytes.NewReader(text)); err != nil {
		return p.manifest, err
	}
	if err := p.tar.Close(); err != nil {
		return p.manifest, fmt.Errorf("end the archive: %w", err)
	}
	if err := p.zip.Close(); err != nil {
		return p.manifest, fmt.Errorf("end the archive: %w", err)
	}
	return p.manifest, nil
}
