package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/llm"
	"github.com/ratchet-rl/ratchet/internal/telemetry"
)

// Env is what a role runs in.
type Env struct {
	Config  config.Config
	Role    string
	Log     *slog.Logger
	Bus     *bus.Conn
	Blobs   blob.Store
	LLM     *llm.Client
	Metrics *telemetry.Metrics

	specs specs
}

// Open opens everything a role needs, and waits for the bus until ctx ends. The log goes to logs.
func Open(ctx context.Context, role string, cfg config.Config, logs io.Writer) (*Env, error) {
	log, err := telemetry.Logger(cfg.Log, role, logs)
	if err != nil {
		return nil, err
	}
	blobs, err := blob.Open(ctx, cfg.Blob)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	metrics := telemetry.New(role)
	conn, err := bus.Connect(ctx, cfg.Bus, bus.Options{Role: role, Log: log, Blobs: blobs, Metrics: metrics.Registry()})
	if err != nil {
		return nil, fmt.Errorf("connect to bus: %w", err)
	}
	return &Env{
		Config: cfg, Role: role, Log: log, Bus: conn, Blobs: blobs, Metrics: metrics,
		LLM:   llm.New(cfg.LLM, log, metrics.Registry()),
		specs: specs{known: map[string]config.Run{}},
	}, nil
}

// Close closes the bus; nothing else holds anything that must be closed.
func (e *Env) Close() { e.Bus.Close() }

// Ready says whether the role can do its work now.
func (e *Env) Ready() error { return e.Bus.Healthy() }

// specs caches the runs' specs; a spec never changes once it is submitted.
type specs struct {
	mu    sync.Mutex // guards known
	known map[string]config.Run
}

// Spec reads a run's spec from the bucket `runs`. An unknown run is bus.ErrNotFound.
func (e *Env) Spec(ctx context.Context, run string) (config.Run, error) {
	e.specs.mu.Lock()
	spec, ok := e.specs.known[run]
	e.specs.mu.Unlock()
	if ok {
		return spec, nil
	}
	value, _, err := e.Bus.KV("runs").Get(ctx, run+".spec")
	if err != nil {
		return spec, fmt.Errorf("read spec of run %s: %w", run, err)
	}
	if err := json.Unmarshal(value, &spec); err != nil {
		return spec, fmt.Errorf("decode spec of run %s (KV runs, key %s.spec): %w", run, run, err)
	}
	e.specs.mu.Lock()
	defer e.specs.mu.Unlock()
	e.specs.known[run] = spec
	return spec, nil
}

// standardLog is where a role's log goes.
var standardLog io.Writer = os.Stderr
