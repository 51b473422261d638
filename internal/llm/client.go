package llm

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Request asks for N continuations of one prompt; choice i has Seed+i.
type Request struct {
	// Endpoint is the base URL with /v1; Endpoints are several that serve the model, and then Endpoint is one of them.
	Endpoint  string
	Endpoints []string
	Model     string
	// API is completions, or chat: then the prompt is one user message.
	API         pb.Api
	Prompt      string
	N           int
	Temperature float64
	MaxTokens   int
	// Stop ends a text; the first of them is put back where the server removed it.
	Stop     []string
	Seed     int64
	Logprobs bool
	// Affinity is the same for calls that share a prefix. It travels as the header X-Session-Id, by which a
	// balancer before several replicas can keep them on one.
	Affinity string
	// Context is how many tokens prompt and output may have together, where the server does not say; 0: unknown.
	Context int64
	// Grammar in GBNF that a text must follow, where the server is known to keep it; ErrNoGrammar elsewhere.
	Grammar string
}

// Response is the choices, in the order of their seeds, and what they cost.
type Response struct {
	Choices                               []Choice
	PromptTokens, CompletionTokens, Calls int64
}

// Choice is one continuation.
type Choice struct {
	Text   string
	Tokens int
	// MeanLogprob is the mean natural log-probability over the tokens that have one, if HasLogprob.
	MeanLogprob  float64
	HasLogprob   bool
	FinishReason string
}

// Client calls endpoints. Safe for concurrent use; one per role.
type Client struct {
	cfg     config.LLM
	log     *slog.Logger
	http    *http.Client
	metrics *metrics

	reviving sync.WaitGroup

	mu        sync.Mutex // guards endpoints
	endpoints map[string]*endpoint
}

// New makes a client. The logger and the registerer may be nil.
func New(cfg config.LLM, log *slog.Logger, reg prometheus.Registerer) *Client {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// The default of two idle connections to a host dials anew for nearly every call.
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = 0, cfg.Connections, cfg.Connections
	return &Client{
		cfg: cfg, log: log, http: &http.Client{Transport: transport}, metrics: newMetrics(reg), endpoints: map[string]*endpoint{},
	}
}

// Close waits for what was asked beside calls, and closes idle connections.
func (c *Client) Close() {
	c.reviving.Wait()
	c.http.CloseIdleConnections()
}

// Models lists what an endpoint serves. One try.
func (c *Client) Models(ctx context.Context, endpoint string) ([]string, error) {
	e, err := c.endpoint(endpoint)
	if err != nil {
		return nil, err
	}
	list, err := c.models(ctx, e)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range list {
		names = append(names, m.ID)
	}
	return names, nil
}

// Ready blocks while the endpoint's circuit is open, and those of all that serve the same model beside it, and probes
// them, until ctx ends.
func (c *Client) Ready(ctx context.Context, endpoint string) error {
	e, err := c.endpoint(endpoint)
	if err != nil {
		return err
	}
	if peers := e.peers.Load(); peers != nil {
		return c.anyReady(ctx, *peers)
	}
	return e.circuit.wait(ctx, func() error { return c.probe(ctx, e) })
}

// probe asks the cheapest question there is.
func (c *Client) probe(ctx context.Context, e *endpoint) error {
	if _, err := c.models(ctx, e); err != nil && !answers(err) {
		return err
	}
	return nil
}

// AllReady blocks while any of the endpoints called so far does not answer.
func (c *Client) AllReady(ctx context.Context) error {
	for _, e := range c.known() {
		if err := e.circuit.wait(ctx, func() error { return c.probe(ctx, e) }); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) known() []*endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.endpoints))
}

// AnyReady blocks while not one of the endpoints called so far answers: a run whose endpoint is gone for good must
// not stop the others.
func (c *Client) AnyReady(ctx context.Context) error {
	return c.anyReady(ctx, c.known())
}

func (c *Client) anyReady(ctx context.Context, all []*endpoint) error {
	if len(all) == 0 || slices.ContainsFunc(all, func(e *endpoint) bool { return !e.circuit.isOpen() }) {
		return nil
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	var probes sync.WaitGroup
	for _, e := range all {
		probes.Go(func() {
			if e.circuit.wait(waiting, func() error { return c.probe(waiting, e) }) == nil {
				stop()
			}
		})
	}
	probes.Wait()
	return context.Cause(ctx)
}

// endpoint is what is known about a base URL.
func (c *Client) endpoint(base string) (*endpoint, error) {
	base = strings.TrimRight(base, "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.endpoints[base]; ok {
		return e, nil
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("endpoint %q: want a URL such as http://127.0.0.1:8000/v1", base)
	}
	key, err := c.key(u.Host)
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", u.Redacted(), err)
	}
	e := newEndpoint(u, key, c.cfg)
	e.circuit = newCircuit(c.cfg.OpenAfter, c.cfg.OpenFor, func(open bool) {
		c.metrics.open(e.name, open)
		if open {
			c.log.Warn("endpoint fails; waiting for it, nothing is lost", "endpoint", e.name, "failures", c.cfg.OpenAfter)
		} else {
			c.log.Info("endpoint answers again", "endpoint", e.name)
		}
	})
	c.metrics.open(e.name, false)
	c.endpoints[base] = e
	return e, nil
}

// key is the API key for a host: its own, else the common one, else none.
func (c *Client) key(host string) (string, error) {
	file := c.cfg.KeyFile
	if named, ok := c.cfg.KeyFiles[host]; ok {
		file = named
	}
	if file == "" {
		return "", nil
	}
	key, err := config.Secret(file)
	if err != nil {
		return "", fmt.Errorf("read API key (llm.key_file, llm.key_files): %w", err)
	}
	return key, nil
}
