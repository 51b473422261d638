package blob_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
)

// The answers that a real server gives only by chance come from a script: a handler that stands in for S3.

// scripted opens a store at a handler; the bucket is there.
func scripted(t *testing.T, timeout time.Duration, handle http.HandlerFunc) blob.Store {
	t.Helper()
	s, err := blob.Open(t.Context(), scriptedConfig(t, timeout, func(w http.ResponseWriter, r *http.Request) {
		if strings.Trim(r.URL.Path, "/") != "bucket" {
			handle(w, r)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func scriptedConfig(t *testing.T, timeout time.Duration, handle http.HandlerFunc) config.Blob {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Blob{
		URL: "s3://bucket", Endpoint: server.URL, Region: "us-east-1", Timeout: timeout,
		AccessKeyFile: key, SecretKeyFile: key,
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	io.WriteString(w, `<?xml version="1.0"?><Error><Code>`+code+`</Code><Message>scripted</Message></Error>`)
}

func TestS3PutIsOneConditionalRequest(t *testing.T) {
	t.Parallel()
	var puts atomic.Int32
	s := scripted(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		puts.Add(1)
		if r.Header.Get("If-None-Match") != "*" || r.URL.RawQuery != "" || r.URL.Path != "/bucket/k" {
			t.Errorf("%s %s, If-None-Match %q", r.Method, r.URL, r.Header.Get("If-None-Match"))
		}
		io.Copy(io.Discard, r.Body)
	})
	const size = 17 << 20 // above what minio-go would upload in parts
	if created, err := s.PutIfAbsent(t.Context(), "k", io.LimitReader(zeros{}, size), size); !created || err != nil {
		t.Errorf("created %t, error %v", created, err)
	}
	if puts.Load() != 1 {
		t.Errorf("%d requests, want 1", puts.Load())
	}
}

func TestS3PutRetriesConflict(t *testing.T) {
	t.Parallel()
	var puts atomic.Int32
	s := scripted(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || !strings.Contains(string(body), "text") {
			t.Errorf("body %q, error %v", body, err)
		}
		if puts.Add(1) <= 2 {
			refuse(w, http.StatusConflict, "ConditionalRequestConflict")
		}
	})
	if created, err := s.PutIfAbsent(t.Context(), "k", strings.NewReader("text"), 4); !created || err != nil {
		t.Errorf("created %t, error %v", created, err)
	}
	if puts.Load() != 3 {
		t.Errorf("%d requests, want 3", puts.Load())
	}
}

func TestS3PutRefused(t *testing.T) {
	t.Parallel()
	s := scripted(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "AccessDenied")
	})
	created, err := s.PutIfAbsent(t.Context(), "k", strings.NewReader("text"), 4)
	if created || err == nil || !strings.Contains(err.Error(), "s3://bucket/k") {
		t.Errorf("created %t, error %v; want one that names s3://bucket/k", created, err)
	}
}

func TestS3OpenMakesTheBucket(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		http.StatusOK:        "",
		http.StatusConflict:  "",
		http.StatusForbidden: "make it by hand",
	} {
		codes := map[int]string{http.StatusConflict: "BucketAlreadyOwnedByYou", http.StatusForbidden: "AccessDenied"}
		var made atomic.Bool
		cfg := scriptedConfig(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			made.Store(true)
			if status != http.StatusOK {
				refuse(w, status, codes[status])
			}
		})
		_, err := blob.Open(t.Context(), cfg)
		if !made.Load() || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("status %d: asked %t, error %v; want %q", status, made.Load(), err, want)
		}
	}
}

// Keys that may only read and write objects are enough.
func TestS3OpenWithKeysForObjectsOnly(t *testing.T) {
	t.Parallel()
	cfg := scriptedConfig(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "AccessDenied")
	})
	if _, err := blob.Open(t.Context(), cfg); err != nil {
		t.Error(err)
	}
}

func TestS3OpenWithoutKeys(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	cfg := scriptedConfig(t, time.Minute, func(http.ResponseWriter, *http.Request) {})
	both := cfg
	both.AccessKeyFile, both.SecretKeyFile = "", ""
	one := cfg
	one.SecretKeyFile = ""
	missing := cfg
	missing.AccessKeyFile = filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		cfg  config.Blob
		want string
	}{
		"no keys": {both, "blob.access_key_file"},
		"one key": {one, "blob.secret_key_file is not set"},
		"no file": {missing, "none"},
	} {
		if _, err := blob.Open(t.Context(), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// A server that stops in the middle of a body is noticed, however long the whole may take.
func TestS3GetStalls(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := scripted(t, 200*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "8")
		w.Header().Set("Last-Modified", time.Unix(0, 0).UTC().Format(http.TimeFormat))
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	_, err := blob.ReadAll(t.Context(), s, "k", 8)
	if err == nil || !strings.Contains(err.Error(), "blob.timeout") {
		t.Errorf("error %v, want one that says that nothing came for blob.timeout", err)
	}
}

func TestS3GetEndsEarly(t *testing.T) {
	t.Parallel()
	s := scripted(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "8")
		w.Header().Set("Last-Modified", time.Unix(0, 0).UTC().Format(http.TimeFormat))
		io.WriteString(w, "half")
	})
	if _, err := blob.ReadAll(t.Context(), s, "k", 8); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// zeros is an endless body that cannot seek.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A server with a certificate of its own authority is trusted through blob.ca_file only.
func TestS3CAFile(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo) // handshakes that fail, on purpose
	server.StartTLS()
	defer server.Close()
	cfg := scriptedConfig(t, time.Minute, func(http.ResponseWriter, *http.Request) {})
	cfg.Endpoint = server.URL
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"right":             pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		"empty":             nil,
		"another authority": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: strangersCertificate(t)}),
		"":                  nil, // no file: the system's authorities
	} {
		if cfg.CAFile = ""; name != "" {
			cfg.CAFile = filepath.Join(dir, name)
			if err := os.WriteFile(cfg.CAFile, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := blob.Open(t.Context(), cfg)
		if (err == nil) != (name == "right") || err != nil && !strings.Contains(err.Error(), "blob.ca_file") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func strangersCertificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	signed, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// What is put again is copied onto itself, if it is old.
func TestS3Freshens(t *testing.T) {
	t.Parallel()
	var copies atomic.Int32
	s := scripted(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		age := time.Duration(0)
		if strings.HasSuffix(r.URL.Path, "/old") {
			age = 2 * blob.Fresh
		}
		switch {
		case r.Header.Get("X-Amz-Copy-Source") == "bucket/old" && r.Header.Get("X-Amz-Metadata-Directive") == "REPLACE":
			copies.Add(1)
			io.WriteString(w, `<CopyObjectResult><ETag>"e"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></CopyObjectResult>`)
		case r.Method == http.MethodPut:
			refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
		default:
			w.Header().Set("Last-Modified", time.Now().Add(-age).UTC().Format(http.TimeFormat))
			w.Header().Set("X-Amz-Meta-Ratchet-Writer", "somebody")
		}
	})
	for key, want := range map[string]int32{"new": 0, "old": 1} {
		copies.Store(0)
		created, err := s.PutIfAbsent(t.Context(), key, strings.NewReader("x"), 1)
		if created || err != nil || copies.Load() != want {
			t.Errorf("%s: created %t, error %v, %d copies; want %d", key, created, err, copies.Load(), want)
		}
	}
}
