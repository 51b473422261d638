package blob

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/ratchet-rl/ratchet/internal/config"
)

const (
	// writerMeta names the metadata of an object that tells its writer: one random text per PutIfAbsent.
	writerMeta  = "Ratchet-Writer"
	contentType = "application/octet-stream"
	// conflictWait is between two tries of a write that met another one of the same key.
	conflictWait = 100 * time.Millisecond
	// slowest is the rate in bytes per second that a request may fall to before its deadline passes.
	slowest = 1 << 20
)

// s3 is a Store in a bucket of any S3-compatible server.
type s3 struct {
	client  *minio.Core
	bucket  string
	prefix  string // "" or ends with a slash
	timeout time.Duration
}

func openS3(ctx context.Context, cfg config.Blob) (*s3, error) {
	bucket, prefix, err := splitS3(cfg.URL)
	if err != nil {
		return nil, err
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		if err := checkKey(prefix); err != nil {
			return nil, fmt.Errorf("blob.url: %w", err)
		}
		prefix += "/"
	}
	if !hasKeys(cfg) {
		return nil, fmt.Errorf("no keys for %s: set blob.access_key_file and blob.secret_key_file, or %s and AWS_SECRET_ACCESS_KEY", cfg.URL, accessKeyEnv)
	}
	client, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	s := &s3{client: client, bucket: bucket, prefix: prefix, timeout: cfg.Timeout}
	if err := s.ensureBucket(ctx, cfg.Region); err != nil {
		if errors.As(err, new(*tls.CertificateVerificationError)) {
			err = fmt.Errorf("%w; set blob.ca_file to the authority of its certificate", err)
		}
		return nil, fmt.Errorf("open %s at %s: %w", cfg.URL, client.EndpointURL().Host, err)
	}
	return s, nil
}

// ensureBucket makes the bucket if it is missing.
func (s *s3) ensureBucket(ctx context.Context, region string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	exists, err := s.client.BucketExists(ctx, s.bucket)
	switch {
	case exists:
		return nil
	case minio.ToErrorResponse(err).Code == minio.AccessDenied:
		return s.probe(ctx)
	case err != nil:
		return err
	}
	err = s.client.MakeBucket(ctx, s.bucket, minio.MakeBucketOptions{Region: region})
	switch minio.ToErrorResponse(err).Code {
	case minio.BucketAlreadyOwnedByYou, minio.BucketAlreadyExists: // another process was faster
		return nil
	case minio.AccessDenied:
		return fmt.Errorf("the bucket is missing and these keys may not make it; make it by hand: %w", err)
	}
	return err
}

// probe tells keys that may only use objects from wrong keys: the answer to HEAD is 403 for both.
func (s *s3) probe(ctx context.Context) error {
	body, err := s.Get(ctx, "probe")
	if err == nil {
		return body.Close()
	}
	var answer minio.ErrorResponse
	if errors.Is(err, ErrNotFound) || errors.As(err, &answer) && answer.Code == minio.AccessDenied {
		return nil
	}
	return err
}

// PutIfAbsent is one PUT with If-None-Match: * (a multipart upload loses the header when it completes). When the
// reply to a PUT that was done is lost, the client library repeats it and is told 412; the object's writer then
// tells that it is this call's own.
func (s *s3) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) (created bool, err error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	content, release, err := rewindable(ctx, body, size)
	if err != nil {
		return false, fmt.Errorf("write blob %s: %w", key, err)
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, s.timeout+time.Duration(size/slowest)*time.Second)
	defer cancel()

	writer := rand.Text()
	for {
		err := s.put(ctx, key, content, size, writer)
		switch minio.ToErrorResponse(err).StatusCode {
		case http.StatusPreconditionFailed:
			created, err = s.wroteIt(ctx, key, writer)
			if errors.Is(err, ErrNotFound) { // deleted meanwhile
				continue
			}
			return created, err
		case http.StatusConflict: // ConditionalRequestConflict: another write of this key is under way
			if wait(ctx, conflictWait) {
				continue
			}
		}
		if err != nil {
			return false, fmt.Errorf("write blob %s: %w", s.URI(key), outageOf(err))
		}
		return true, nil
	}
}

func (s *s3) put(ctx context.Context, key string, content *io.SectionReader, size int64, writer string) error {
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return err
	}
	options := minio.PutObjectOptions{
		DisableMultipart: true,
		ContentType:      contentType,
		UserMetadata:     map[string]string{writerMeta: writer},
	}
	options.SetMatchETagExcept("*")
	_, err := s.client.Client.PutObject(ctx, s.bucket, s.prefix+key, content, size, options)
	return err
}

// wroteIt tells whether the object of key was written by writer; another's is made as young as if it were.
func (s *s3) wroteIt(ctx context.Context, key, writer string) (bool, error) {
	info, err := s.client.StatObject(ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{})
	mine := info.UserMetadata[writerMeta] == writer
	if err == nil && !mine && !info.LastModified.IsZero() && time.Since(info.LastModified) > Fresh {
		err = s.freshen(ctx, key, info.UserMetadata[writerMeta])
	}
	if err != nil {
		return false, fmt.Errorf("write blob %s: see who wrote it: %w", s.URI(key), outageOf(s.missing(err)))
	}
	return mine, nil
}

// freshen copies the object onto itself, which S3 allows where the metadata is replaced.
func (s *s3) freshen(ctx context.Context, key, writer string) error {
	_, err := s.client.Client.CopyObject(ctx,
		minio.CopyDestOptions{
			Bucket: s.bucket, Object: s.prefix + key, ReplaceMetadata: true,
			UserMetadata: map[string]string{writerMeta: writer, "Content-Type": contentType},
		},
		minio.CopySrcOptions{Bucket: s.bucket, Object: s.prefix + key})
	return err
}

// missing gives the answer of a server that has no such object our name.
func (s *s3) missing(err error) error {
	if code := minio.ToErrorResponse(err).Code; code == minio.NoSuchKey || code == "NotFound" {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// Stat asks for an object's head.
func (s *s3) Stat(ctx context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	info, err := s.client.StatObject(ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{})
	if err != nil {
		return Object{}, fmt.Errorf("look at blob %s: %w", s.URI(key), outageOf(s.missing(err)))
	}
	return Object{Key: key, Size: info.Size, Modified: info.LastModified}, nil
}

// Get sends the request at once, so that a missing object is an error here and not at the first read.
func (s *s3) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return get(ctx, s.client, s.bucket, s.prefix+key, s.timeout)
}

// List pages through the bucket.
func (s *s3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Object{}, err)
			return
		}
		watch, ctx := newWatchdog(ctx, s.timeout)
		defer watch.stop()
		options := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}
		for o := range s.client.ListObjectsIter(ctx, s.bucket, options) {
			if o.Err != nil {
				yield(Object{}, fmt.Errorf("list blobs %s: %w", s.URI(prefix), outageOf(cause(ctx, o.Err))))
				return
			}
			watch.pause()
			key := strings.TrimPrefix(o.Key, s.prefix)
			if checkKey(key) == nil && !yield(Object{Key: key, Size: o.Size, Modified: o.LastModified}, nil) {
				return
			}
			watch.resume()
		}
	}
}

// Delete removes an object; S3 says nothing when there is none.
func (s *s3) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.client.RemoveObject(ctx, s.bucket, s.prefix+key, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("delete blob %s: %w", s.URI(key), outageOf(err))
	}
	return nil
}

// URI is s3://bucket/prefix/key.
func (s *s3) URI(key string) string { return "s3://" + path.Join(s.bucket, s.prefix) + "/" + key }

// Key is the part of a URI after this bucket and prefix.
func (s *s3) Key(uri string) (string, error) { return keyUnder(s.URI(""), uri) }

// get opens an object; timeout bounds the answer and then each read, not the whole.
func get(ctx context.Context, client *minio.Core, bucket, key string, timeout time.Duration) (io.ReadCloser, error) {
	watch, ctx := newWatchdog(ctx, timeout)
	body, _, _, err := client.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	watch.pause()
	if err == nil {
		return &watchedBody{ReadCloser: body, ctx: ctx, watch: watch}, nil
	}
	watch.stop()
	if code := minio.ToErrorResponse(err).Code; code == minio.NoSuchKey || code == minio.NoSuchBucket {
		return nil, fmt.Errorf("read blob s3://%s/%s: %w", bucket, key, ErrNotFound)
	}
	return nil, fmt.Errorf("read blob s3://%s/%s: %w", bucket, key, outageOf(cause(ctx, err)))
}

// splitS3 cuts s3://bucket/key.
func splitS3(uri string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(uri, "s3://")
	bucket, key, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return "", "", fmt.Errorf("%q is no s3://bucket/key", uri)
	}
	return bucket, key, nil
}

// cause says why ctx was cancelled where err only says that it was.
func cause(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return err
}

// wait returns false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
