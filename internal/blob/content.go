package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
)

// maxVerified bounds what Verified takes into memory, in bytes.
const maxVerified = 1 << 30

// Ref names content in a store.
type Ref struct {
	URI, Key string
	SHA256   string // of the content, lower-case hex
	Size     int64  // bytes
}

// PutContent stores data under <prefix>/<sha256>.<ext>. Storing the same bytes again is success, which makes a
// repeated write after a lost reply harmless.
func PutContent(ctx context.Context, s Store, prefix, ext string, data []byte) (Ref, error) {
	sum := sha256.Sum256(data)
	sha := hex.EncodeToString(sum[:])
	key := path.Join(prefix, sha+"."+ext)
	if _, err := s.PutIfAbsent(ctx, key, bytes.NewReader(data), int64(len(data))); err != nil {
		return Ref{}, err
	}
	return Ref{URI: s.URI(key), Key: key, SHA256: sha, Size: int64(len(data))}, nil
}

// ReadAll reads an object of at most max bytes; a larger one is an error.
func ReadAll(ctx context.Context, s Store, key string, max int64) ([]byte, error) {
	body, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, max+1))
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", key, err)
	}
	if int64(len(data)) > max {
		return nil, fmt.Errorf("read blob %s: it is larger than the %d bytes expected here", key, max)
	}
	return data, nil
}

// Verified reads an object and checks that its SHA-256 is sha, lower-case hex.
func Verified(ctx context.Context, s Store, key, sha string) ([]byte, error) {
	data, err := ReadAll(ctx, s, key, maxVerified)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != sha {
		return nil, fmt.Errorf("read blob %s: its SHA-256 is %x, expected %s: it was damaged or overwritten", key, sum, sha)
	}
	return data, nil
}
