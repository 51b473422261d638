package dataset

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// Opener opens a path, an http(s) URL or an s3:// object.
type Opener func(ctx context.Context, path string) (io.ReadCloser, error)

// headerTimeout is how long a web server may take to begin its answer; the body may take as long as ctx allows.
const headerTimeout = 30 * time.Second

// Open is the Opener of files and http(s) URLs that leaves s3:// to the function s3, which may be nil.
func Open(s3 Opener) Opener {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = headerTimeout
	client := &http.Client{Transport: transport}
	return func(ctx context.Context, path string) (io.ReadCloser, error) {
		scheme, rest, _ := strings.Cut(path, "://")
		switch scheme {
		case "http", "https":
			return openURL(ctx, client, path)
		case "s3":
			if s3 == nil {
				return nil, fmt.Errorf("open %s: there is no S3 here; set blob.url and blob.endpoint", path)
			}
			return s3(ctx, path)
		case "file":
			return os.Open(rest)
		}
		return os.Open(path)
	}
}

func openURL(ctx context.Context, client *http.Client, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", url, err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err // names method and URL
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, fmt.Errorf("open %s: the server says %s", url, res.Status)
	}
	return res.Body, nil
}
