package blob

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// partialDir holds files that are being written. No key can lie in it: names do not begin with a dot.
const partialDir = ".partial"

// partialAge is after how long a partial file is the leftover of a crash.
const partialAge = 24 * time.Hour

// directory is a Store on one machine's disk. os.Root keeps every access inside, symbolic links included.
type directory struct {
	root *os.Root
	uri  string // file:///directory/
}

func openDirectory(dir string) (*directory, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob directory: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, partialDir), 0o755); err != nil {
		return nil, fmt.Errorf("open blob directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob directory: %w", err)
	}
	uri := url.URL{Scheme: "file", Path: strings.TrimSuffix(filepath.ToSlash(dir), "/") + "/"}
	d := &directory{root: root, uri: uri.String()}
	d.removeLeftovers()
	return d, nil
}

// PutIfAbsent writes a partial file, fsyncs it, and links it to its name: link(2) fails if the name is taken, so
// there is one winner and nobody sees half an object. The directories are fsynced before it returns.
func (d *directory) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) (created bool, err error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	if taken, err := d.taken(key); taken || err != nil {
		return false, err
	}
	partial, err := d.writePartial(ctx, body, size)
	if err != nil {
		return false, fmt.Errorf("write blob %s: %w", key, err)
	}
	defer func() { _ = d.root.Remove(partial) }()

	if err := d.root.MkdirAll(path.Dir(key), 0o755); err != nil {
		return false, fmt.Errorf("write blob %s: %w", key, err)
	}
	switch err := d.root.Link(partial, key); {
	case err == nil:
		created = true
	case !errors.Is(err, fs.ErrExist):
		return false, fmt.Errorf("write blob %s: %w", key, err)
	}
	if err := d.syncParents(key); err != nil {
		return false, fmt.Errorf("write blob %s: %w", key, err)
	}
	return created, nil
}

// taken tells whether key is an object already. Its writer may have crashed before the fsync of the directories,
// so they are fsynced again.
func (d *directory) taken(key string) (bool, error) {
	info, err := d.root.Stat(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && info.IsDir():
		return false, fmt.Errorf("write blob %s: other keys continue this one by a slash", key)
	case err == nil:
		err = cmp.Or(d.freshen(key, info.ModTime()), d.syncParents(key))
	}
	if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("write blob %s: %w", key, err)
	}
	return true, nil
}

func (d *directory) freshen(key string, modified time.Time) error {
	if time.Since(modified) < Fresh {
		return nil
	}
	return d.root.Chtimes(key, time.Time{}, time.Now())
}

func (d *directory) writePartial(ctx context.Context, body io.Reader, size int64) (name string, err error) {
	name = path.Join(partialDir, rand.Text())
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = d.root.Remove(name)
		}
	}()
	n, err := io.Copy(f, io.LimitReader(contextReader{ctx, body}, size+1))
	if err != nil {
		return "", err
	}
	if n != size {
		return "", lengthError(n, size)
	}
	return name, f.Sync()
}

// syncParents makes the name of key durable: each directory holds the name of the next.
func (d *directory) syncParents(key string) error {
	for dir := path.Dir(key); ; dir = path.Dir(dir) {
		f, err := d.root.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
	}
}

// Get opens the file of key.
func (d *directory) Get(_ context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	f, err := d.root.Open(key)
	if errors.Is(err, fs.ErrNotExist) || err == nil && isDirectory(f) {
		return nil, fmt.Errorf("read blob %s: %w", d.URI(key), ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", key, err)
	}
	return f, nil
}

// isDirectory closes f if it is one.
func isDirectory(f *os.File) bool {
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		_ = f.Close()
		return true
	}
	return false
}

// Stat looks at the file of key.
func (d *directory) Stat(_ context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	info, err := d.root.Stat(key)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return Object{}, fmt.Errorf("look at blob %s: %w", d.URI(key), ErrNotFound)
	}
	if err != nil {
		return Object{}, fmt.Errorf("look at blob %s: %w", key, err)
	}
	return Object{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

// List walks the directories that the prefix may lead into.
func (d *directory) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Object{}, err)
			return
		}
		d.list(ctx, ".", prefix, yield)
	}
}

// list yields what lies under dir; false means that the caller has had enough.
func (d *directory) list(ctx context.Context, dir, prefix string, yield func(Object, error) bool) bool {
	entries, err := fs.ReadDir(d.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
		return true
	}
	if err = cmp.Or(err, ctx.Err()); err != nil {
		yield(Object{}, fmt.Errorf("list blobs %s: %w", prefix, err))
		return false
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		key := path.Join(dir, e.Name())
		switch {
		case e.IsDir() && key != partialDir && overlaps(key+"/", prefix):
			if !d.list(ctx, key, prefix, yield) {
				return false
			}
		case e.Type().IsRegular() && strings.HasPrefix(key, prefix) && checkKey(key) == nil:
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				yield(Object{}, fmt.Errorf("list blobs %s: %w", prefix, err))
				return false
			}
			if !yield(Object{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil) {
				return false
			}
		}
	}
	return true
}

// sortName makes the order of a walk the byte order of whole keys: a-b comes before a/b.
func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

func overlaps(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// Delete removes the file of key; empty directories stay.
func (d *directory) Delete(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	err := d.root.Remove(key)
	if err == nil {
		err = d.syncParents(key)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob %s: %w", key, err)
	}
	return nil
}

// URI is file:///directory/key.
func (d *directory) URI(key string) string { return d.uri + key }

// Key is the part of a URI after this directory.
func (d *directory) Key(uri string) (string, error) { return keyUnder(d.uri, uri) }

// removeLeftovers deletes partial files of crashed writers. An error is no reason not to start.
func (d *directory) removeLeftovers() {
	entries, _ := fs.ReadDir(d.root.FS(), partialDir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > partialAge {
			_ = d.root.Remove(path.Join(partialDir, e.Name()))
		}
	}
}

// keyUnder is what follows base in uri.
func keyUnder(base, uri string) (string, error) {
	key, ok := strings.CutPrefix(uri, base)
	if !ok {
		return "", fmt.Errorf("%s does not lie in the blob store %s: is blob.url the same everywhere?", uri, base)
	}
	return key, checkKey(key)
}

func lengthError(got, want int64) error {
	if got > want {
		return fmt.Errorf("the body is longer than the %d bytes announced", want)
	}
	return fmt.Errorf("the body ended after %d of %d bytes", got, want)
}

// contextReader ends a copy when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
