package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/ratchet-rl/ratchet/internal/blob"
)

// spool is a temporary file on its way into the blob store: what goes there may be larger than memory, and its name
// is its hash, which is known at its end.
type spool struct {
	*bufio.Writer
	file *os.File
	sum  hash.Hash
}

func newSpool() (*spool, error) {
	file, err := os.CreateTemp("", "ratchet-submit-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	_ = os.Remove(file.Name()) // it stays open, and is gone with this process, however that ends
	sum := sha256.New()
	return &spool{Writer: bufio.NewWriterSize(io.MultiWriter(file, sum), 64<<10), file: file, sum: sum}, nil
}

// keep stores the content as <prefix>/<sha256><ext> and returns its URI.
func (s *spool) keep(ctx context.Context, blobs blob.Store, prefix, ext string) (string, error) {
	if err := s.Flush(); err != nil {
		return "", fmt.Errorf("write a temporary file: %w", err)
	}
	size, err := s.file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = s.file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return "", fmt.Errorf("read a temporary file again: %w", err)
	}
	key := prefix + "/" + hex.EncodeToString(s.sum.Sum(nil)) + ext
	if _, err := blobs.PutIfAbsent(ctx, key, s.file, size); err != nil {
		return "", err
	}
	return blobs.URI(key), nil
}

// close frees the file.
func (s *spool) close() { _ = s.file.Close() }
