package search

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const (
	retrieveTries       = 4
	retrievePause       = 250 * time.Millisecond // before the second try; doubles
	retrieveConnections = 128
	maxReply            = 8 << 20 // bytes
)

// retrieve asks a Search-R1 server (PeterGriffinJin/Search-R1, retrieval_server.py): POST /retrieve with
// {queries, topk, return_scores}.
type retrieve struct {
	url     string
	key     string
	timeout time.Duration
	client  *http.Client
}

func chooseRetrieve(cfg config.Search, tool config.SearchTool) (backend, error) {
	u, err := url.Parse(tool.URL)
	if err != nil || u.Host == "" {
		return backend{}, fmt.Errorf("search.url %q: want the URL of a Search-R1 server, such as http://127.0.0.1:8000/retrieve", tool.URL)
	}
	if u.Path = strings.TrimSuffix(u.Path, "/"); !strings.HasSuffix(u.Path, "/retrieve") {
		u.Path += "/retrieve"
	}
	return backend{
		identity: "retrieve " + u.String(),
		open:     func(context.Context) (Searcher, error) { return openRetrieve(cfg, u.String()) },
	}, nil
}

func openRetrieve(cfg config.Search, url string) (Searcher, error) {
	key := ""
	if cfg.KeyFile != "" {
		var err error
		if key, err = config.Secret(cfg.KeyFile); err != nil {
			return nil, fmt.Errorf("read search.key_file: %w", err)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = 0, retrieveConnections, retrieveConnections
	return &retrieve{url: url, key: key, timeout: cfg.Timeout, client: &http.Client{Transport: transport}}, nil
}

// Close closes idle connections.
func (r *retrieve) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

// Search asks the server, more than once if it must.
func (r *retrieve) Search(ctx context.Context, query string, k int) ([]*pb.SearchResult, error) {
	if strings.TrimSpace(query) == "" || k < 1 {
		return nil, nil
	}
	body, err := json.Marshal(map[string]any{"queries": []string{query}, "topk": k, "return_scores": true})
	if err != nil {
		return nil, fmt.Errorf("encode query: %w", err)
	}
	begin := time.Now()
	timed, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for try := 1; ; try++ {
		hits, err := r.ask(timed, body)
		if err == nil {
			return found(hits, k), nil
		}
		again := try < retrieveTries && !errors.As(err, new(refusal)) && pause(timed, try)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !again:
			return nil, &Error{fmt.Errorf("search server %s: %w (%d tries, %s); start it or correct search.url, the run goes on by itself",
				r.url, err, try, time.Since(begin).Round(time.Millisecond))}
		}
	}
}

// pause waits before the next try; false if ctx ends first.
func pause(ctx context.Context, try int) bool {
	d := retrievePause << (try - 1)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d/2 + rand.N(d/2)):
		return true
	}
}

// refusal is a reply that would be the same next time.
type refusal struct{ status, text string }

func (r refusal) Error() string { return r.status + ": " + r.text }

// hit is a result: with scores the document is inside, without it is the item itself.
type hit struct {
	document
	Document *document `json:"document"`
}

func (r *retrieve) ask(ctx context.Context, body []byte) ([]hit, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if r.key != "" {
		request.Header.Set("Authorization", "Bearer "+r.key)
	}
	reply, err := r.client.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(io.LimitReader(reply.Body, maxReply+1))
	data, reply.Status = config.Concealed(data, r.key), string(config.Concealed([]byte(reply.Status), r.key))
	switch code := reply.StatusCode; {
	case err != nil:
		return nil, fmt.Errorf("the reply broke off after %d bytes: %w", len(data), err)
	case len(data) > maxReply:
		return nil, refusal{reply.Status, fmt.Sprintf("the reply is larger than %d bytes", maxReply)}
	case code != http.StatusOK && mayPass(code):
		return nil, fmt.Errorf("%s: %s", reply.Status, excerpt(data))
	case code != http.StatusOK:
		return nil, refusal{reply.Status, excerpt(data)}
	}
	return decode(data)
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

func decode(data []byte) ([]hit, error) {
	var reply struct {
		Result [][]hit `json:"result"`
	}
	if err := json.Unmarshal(data, &reply); err != nil {
		return nil, fmt.Errorf(`want {"result": [[...]]}, have %q: %w`, excerpt(data), err)
	}
	if len(reply.Result) != 1 {
		return nil, fmt.Errorf(`want {"result": [[...]]} with one list, have %d: %q`, len(reply.Result), excerpt(data))
	}
	return reply.Result[0], nil
}

func excerpt(data []byte) string {
	text := strings.Join(strings.Fields(string(data[:min(len(data), 200)])), " ")
	return strings.ToValidUTF8(text, "")
}

func found(hits []hit, k int) []*pb.SearchResult {
	results := make([]*pb.SearchResult, 0, k)
	for _, h := range hits[:min(len(hits), k)] {
		d := h.document
		if h.Document != nil {
			d = *h.Document
		}
		title, text := d.parts()
		results = append(results, result(title, text, d.URL))
	}
	return results
}
