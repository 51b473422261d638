package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// ErrNotFound is what Get wraps when no object has the key.
var ErrNotFound = errors.New("blob not found")

// Fresh is how much older than the last PutIfAbsent an object may say that it is.
const Fresh = time.Hour

// Store keeps objects by key. A key is names joined by slashes; a name is of [A-Za-z0-9._=-] and does not begin
// with a dot; no key continues another one by a slash (a directory cannot hold `a` and `a/b`).
// All methods may be called concurrently, also from several processes on the same store.
type Store interface {
	// PutIfAbsent writes body, size bytes long, unless the key is taken; created tells which.
	// A body of another length is an error and leaves nothing behind. After an error it is unknown whether the
	// object is there: try again. An object that is there is as young afterwards (Object.Modified) as one that was
	// written now, within Fresh: who collects what nobody points at leaves time to point at it.
	PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) (created bool, err error)
	// Get opens an object, ErrNotFound if there is none. The caller closes it.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// Stat is what List tells about one object, ErrNotFound if there is none.
	Stat(ctx context.Context, key string) (Object, error)
	// List yields the objects whose key begins with prefix, in the byte order of their keys.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
	// URI names an object outside this store: s3://bucket/prefix/key or file:///directory/key.
	URI(key string) string
	// Key is URI's inverse; a URI of another store is an error.
	Key(uri string) (string, error)
}

// Object is what List tells about an object.
type Object struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
}

// Open opens the store that cfg.URL names, making the directory or the bucket if it is missing.
func Open(ctx context.Context, cfg config.Blob) (Store, error) {
	scheme, rest, _ := strings.Cut(cfg.URL, "://")
	switch {
	case scheme == "file" && rest != "":
		return openDirectory(rest)
	case scheme == "s3" && rest != "":
		return openS3(ctx, cfg)
	}
	return nil, fmt.Errorf("blob.url is %q; expected s3://bucket/prefix or file:///directory", cfg.URL)
}

// OpenURI opens one object of any bucket, s3://bucket/key, with cfg's endpoint and keys: question sets and corpora
// that were not put there by Ratchet.
func OpenURI(ctx context.Context, cfg config.Blob, uri string) (io.ReadCloser, error) {
	bucket, key, err := splitS3(uri)
	if err != nil {
		return nil, err
	}
	client, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	return get(ctx, client, bucket, key, cfg.Timeout)
}
