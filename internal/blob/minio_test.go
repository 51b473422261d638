package blob_test

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/blob/blobtest"
	"github.com/ratchet-rl/ratchet/internal/config"
)

// minioEnv is the path of a MinIO server's program. MinIO is AGPL and unmaintained, so it is a process beside the
// tests and no dependency; `make test-s3` builds it and sets this.
const minioEnv = "RATCHET_MINIO"

func TestMinIOFaults(t *testing.T) {
	t.Parallel()
	testFaults(t, func(t *testing.T) config.Blob { return minio(t) })
}

// server is one MinIO for all tests of this binary.
var server struct {
	start  sync.Once
	config config.Blob
	stop   func()
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if server.stop != nil {
		server.stop()
	}
	os.Exit(code)
}

// minio returns how to reach the server, with a bucket of the test's own that does not exist yet.
func minio(t *testing.T) config.Blob {
	t.Helper()
	program := os.Getenv(minioEnv)
	if program == "" {
		t.Skip("no " + minioEnv + ": run `make test-s3`")
	}
	server.start.Do(func() { server.config, server.stop, server.err = startMinIO(program) })
	if server.err != nil {
		t.Fatalf("start %s: %v", program, server.err)
	}
	cfg := server.config
	cfg.URL = "s3://test-" + strings.ToLower(rand.Text()[:12]) + "/some/prefix"
	return cfg
}

func startMinIO(program string) (cfg config.Blob, stop func(), err error) {
	dir, err := os.MkdirTemp("", "ratchet-minio-*")
	if err != nil {
		return cfg, nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return cfg, nil, err
	}
	access, secret := rand.Text(), rand.Text()
	cmd := exec.Command(program, "server", "--quiet", "--address", address, "--console-address", "127.0.0.1:0", filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+access, "MINIO_ROOT_PASSWORD="+secret, "MINIO_BROWSER=off")
	if err := cmd.Start(); err != nil {
		return cfg, nil, err
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.RemoveAll(dir)
	}
	cfg = config.Blob{
		Endpoint: "http://" + address, Region: "us-east-1", Timeout: 30 * time.Second,
		AccessKeyFile: filepath.Join(dir, "access"), SecretKeyFile: filepath.Join(dir, "secret"),
	}
	err = errors.Join(
		os.WriteFile(cfg.AccessKeyFile, []byte(access+"\n"), 0o600),
		os.WriteFile(cfg.SecretKeyFile, []byte(secret+"\n"), 0o600),
		waitLive(cfg.Endpoint, 30*time.Second),
	)
	return cfg, stop, err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// waitLive asks until the server says that it is ready.
func waitLive(endpoint string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		res, err := http.Get(endpoint + "/minio/health/ready")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("MinIO at %s is not ready after %s", endpoint, patience)
		case <-tick.C:
		}
	}
}

func TestMinIO(t *testing.T) {
	t.Parallel()
	minio(t)
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, minio(t)) })
}

func TestMinIOListPages(t *testing.T) {
	t.Parallel()
	s := open(t, minio(t))
	const n = 1005 // a page is 1000
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if _, err := s.PutIfAbsent(t.Context(), fmt.Sprintf("p/%04d", i), strings.NewReader("x"), 1); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	i := 0
	for o, err := range s.List(t.Context(), "p/") {
		if want := fmt.Sprintf("p/%04d", i); err != nil || o.Key != want {
			t.Fatalf("object %d: %q, error %v; want %q", i, o.Key, err, want)
		}
		i++
	}
	if i != n {
		t.Errorf("%d objects listed, want %d", i, n)
	}
}

func TestMinIOWrongKeys(t *testing.T) {
	t.Parallel()
	cfg := minio(t)
	cfg.AccessKeyFile = cfg.SecretKeyFile
	if _, err := blob.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "Access Key") {
		t.Errorf("error %v, want one that says that the access key is unknown", err)
	}
}

func TestMinIOOpenURI(t *testing.T) {
	t.Parallel()
	cfg := minio(t)
	s := open(t, cfg)
	ref, err := blob.PutContent(t.Context(), s, "questions", "jsonl", []byte("{}\n"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := blob.OpenURI(t.Context(), cfg, ref.URI)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || string(got) != "{}\n" {
		t.Errorf("read %q, error %v", got, err)
	}
	if _, err := blob.OpenURI(t.Context(), cfg, ref.URI+".none"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

// TestMinIOOverTLS: everything a store does, through a certificate of a private authority.
func TestMinIOOverTLS(t *testing.T) {
	t.Parallel()
	cfg := minio(t)
	target, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // what the client has signed
	}})
	t.Cleanup(front.Close)
	cfg.Endpoint, cfg.CAFile = front.URL, filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(cfg.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	blobtest.Run(t, func(t *testing.T) blob.Store {
		own := cfg
		own.URL = minio(t).URL
		return open(t, own)
	})
}
