package blob

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ratchet-rl/ratchet/internal/config"
)

const (
	awsEndpoint  = "https://s3.amazonaws.com"
	accessKeyEnv = "AWS_ACCESS_KEY_ID"
)

// newClient makes the client of cfg's server; it sends nothing yet. The library retries what S3 says may be
// retried, ten times within a few seconds.
func newClient(cfg config.Blob) (*minio.Core, error) {
	endpoint := cfg.Endpoint
	if endpoint == "" {
		endpoint = awsEndpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("blob.endpoint is %q; expected http://host:port or https://host", cfg.Endpoint)
	}
	creds, err := keys(cfg)
	if err != nil {
		return nil, err
	}
	transport, err := transport(u.Scheme == "https", cfg.CAFile)
	if err != nil {
		return nil, err
	}
	// Lookup is left to the library: virtual-host style for AWS, path style for everybody else and for addresses.
	client, err := minio.NewCore(u.Host, &minio.Options{
		Creds: creds, Secure: u.Scheme == "https", Transport: transport, Region: cfg.Region,
	})
	if err != nil {
		return nil, fmt.Errorf("blob.endpoint %s: %w", endpoint, err)
	}
	return client, nil
}

// keys come from files, else from the environment, else, on AWS, from the machine's or the pod's role.
func keys(cfg config.Blob) (*credentials.Credentials, error) {
	if cfg.AccessKeyFile == "" && cfg.SecretKeyFile == "" {
		chain := []credentials.Provider{&credentials.EnvAWS{}}
		if cfg.Endpoint == "" {
			chain = append(chain, &credentials.IAM{})
		}
		return credentials.NewChainCredentials(chain), nil
	}
	access, err := readKey("blob.access_key_file", cfg.AccessKeyFile)
	if err != nil {
		return nil, err
	}
	secret, err := readKey("blob.secret_key_file", cfg.SecretKeyFile)
	if err != nil {
		return nil, err
	}
	return credentials.NewStaticV4(access, secret, ""), nil
}

// hasKeys is false if requests would be anonymous, which a store of ours never is.
func hasKeys(cfg config.Blob) bool {
	return cfg.AccessKeyFile != "" || cfg.SecretKeyFile != "" || os.Getenv(accessKeyEnv) != "" || cfg.Endpoint == ""
}

func readKey(setting, file string) (string, error) {
	if file == "" {
		return "", fmt.Errorf("%s is not set; the access key and the secret key need a file each", setting)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", setting, err)
	}
	key := strings.TrimSpace(string(data))
	if key == "" {
		return "", fmt.Errorf("%s: %s is empty", setting, file)
	}
	return key, nil
}

func transport(secure bool, caFile string) (*http.Transport, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("blob client: %w", err)
	}
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("blob.ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("blob.ca_file: %s holds no PEM certificate", caFile)
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// rewindable makes of body what can be sent several times and is known to be size bytes long: itself if it can
// seek, else a temporary file. release frees it.
func rewindable(ctx context.Context, body io.Reader, size int64) (content *io.SectionReader, release func(), err error) {
	if seekable, ok := body.(seekable); ok {
		content, err = section(seekable, size)
		return content, func() {}, err
	}
	f, err := os.CreateTemp("", "ratchet-blob-*")
	if err != nil {
		return nil, nil, err
	}
	_ = os.Remove(f.Name()) // it stays open, and is gone with this process, however that ends
	release = func() { _ = f.Close() }
	n, err := io.Copy(f, io.LimitReader(contextReader{ctx, body}, size+1))
	if err == nil && n != size {
		err = lengthError(n, size)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return io.NewSectionReader(f, 0, size), release, nil
}

// seekable is what bytes.Reader, strings.Reader and os.File are.
type seekable interface {
	io.ReaderAt
	io.Seeker
}

// section is body from where it stands, which must be size bytes before its end.
func section(body seekable, size int64) (*io.SectionReader, error) {
	start, err := body.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	end, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if end-start != size {
		return nil, lengthError(end-start, size)
	}
	return io.NewSectionReader(body, start, size), nil
}

// errStalled is why a watchdog cancelled a request.
var errStalled = errors.New("the server sent nothing for blob.timeout")

// watchdog cancels a context when its timer, which runs only while the server is waited for, has passed.
type watchdog struct {
	timer   *time.Timer
	timeout time.Duration
	cancel  context.CancelCauseFunc
}

func newWatchdog(ctx context.Context, timeout time.Duration) (*watchdog, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(timeout, func() { cancel(errStalled) })
	return &watchdog{timer: timer, timeout: timeout, cancel: cancel}, ctx
}

func (w *watchdog) pause()  { w.timer.Stop() }
func (w *watchdog) resume() { w.timer.Reset(w.timeout) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// watchedBody is the body of an answer, each read of which has a deadline.
type watchedBody struct {
	io.ReadCloser
	ctx   context.Context
	watch *watchdog
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.resume()
	defer b.watch.pause()
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		err = outageOf(cause(b.ctx, err))
	}
	return n, err
}

func (b *watchedBody) Close() error {
	defer b.watch.stop()
	return b.ReadCloser.Close()
}
