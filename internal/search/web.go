package search

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const maxReply = 8 << 20 // bytes

// engine is what one kind of search server is asked, and how its replies are read.
type engine struct {
	url string
	// serial servers want one request at a time.
	serial bool
	// request asks for k results. It has no key yet.
	request func(query string, k int) (*http.Request, error)
	// authorize puts the key into a request; nil: as a bearer token.
	authorize func(header http.Header, key string)
	// decode reads a reply of status 200. What it cannot read may be another the next time, unless it is a refusal.
	decode func(data []byte) ([]*pb.SearchResult, error)
	// hint is what to do about a status, if there is more to say than what the server said.
	hint map[int]string
}

// web asks an engine over HTTP.
type web struct {
	engine

	key    string
	client *http.Client
	// free has a token for each request that may be made at once.
	free chan struct{}
	// quietUntil is when the server will hear the next request, in Unix nanoseconds: it said so to one of us.
	quietUntil atomic.Int64
}

func openWeb(cfg config.Search, e engine) (Searcher, error) {
	key, err := keyFor(cfg, e.url)
	if err != nil {
		return nil, err
	}
	most := max(cfg.Connections, 1)
	if e.serial {
		most = 1
	}
	if e.authorize == nil {
		e.authorize = func(h http.Header, key string) { h.Set("Authorization", "Bearer "+key) }
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, most
	w := &web{engine: e, key: key, client: &http.Client{Transport: transport}, free: make(chan struct{}, most)}
	return &patient{asker: w, name: "search server " + e.url, timeout: cfg.Timeout}, nil
}

// keyFor is the key that a server's host is sent: its own, else the common one, else none.
func keyFor(cfg config.Search, address string) (string, error) {
	file := cfg.KeyFile
	if u, err := url.Parse(address); err == nil && cfg.KeyFiles[u.Host] != "" {
		file = cfg.KeyFiles[u.Host]
	}
	if file == "" {
		return "", nil
	}
	key, err := config.Secret(file)
	if err != nil {
		return "", fmt.Errorf("read API key (search.key_file, search.key_files): %w", err)
	}
	return key, nil
}

func (w *web) close() error {
	w.client.CloseIdleConnections()
	return nil
}

// errQuiet: the server said to another search that it would not hear this one.
var errQuiet = errors.New("it has had enough requests for now")

// ask makes one request when the server will hear it. wait is how long it asks to be left alone, if it does.
func (w *web) ask(ctx context.Context, query string, k int) (results []*pb.SearchResult, wait time.Duration, err error) {
	select {
	case w.free <- struct{}{}:
		defer func() { <-w.free }()
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("search.timeout is over before one of %d connections was free; raise search.connections if the server allows more", cap(w.free))
	}
	if quiet := time.Until(time.Unix(0, w.quietUntil.Load())); quiet > 0 && !sleep(ctx, quiet) {
		return nil, quiet, errQuiet
	}
	request, err := w.request(query, k)
	if err != nil {
		return nil, 0, refusal{"no request", err.Error()}
	}
	if w.key != "" {
		w.authorize(request.Header, w.key)
	}
	reply, err := w.client.Do(request.WithContext(ctx))
	if err != nil {
		return nil, 0, withoutURL(err)
	}
	defer reply.Body.Close()
	results, err = w.read(reply)
	if err == nil {
		return results, 0, nil
	}
	if wait = askedToWait(reply.Header, time.Now()); wait > 0 {
		w.quietUntil.Store(time.Now().Add(wait).UnixNano())
	}
	return nil, wait, err
}

func (w *web) read(reply *http.Response) ([]*pb.SearchResult, error) {
	data, err := io.ReadAll(io.LimitReader(reply.Body, maxReply+1))
	data = config.Concealed(data, w.key)
	status := string(config.Concealed([]byte(reply.Status), w.key))
	switch code := reply.StatusCode; {
	case err != nil:
		return nil, fmt.Errorf("the reply broke off after %d bytes: %w", len(data), err)
	case len(data) > maxReply:
		return nil, refusal{status, fmt.Sprintf("the reply is larger than %d bytes", maxReply)}
	case code != http.StatusOK && mayPass(code):
		return nil, fmt.Errorf("%w: %s", busy{status: status}, excerpt(data))
	case code != http.StatusOK:
		return nil, refusal{status, excerpt(data) + w.hint[code]}
	}
	return w.decode(data)
}

func mayPass(code int) bool {
	return code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
}

// withoutURL drops the URL that net/http puts before an error.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func excerpt(data []byte) string {
	text := strings.Join(strings.Fields(string(data[:min(len(data), 200)])), " ")
	return strings.ToValidUTF8(text, "")
}
