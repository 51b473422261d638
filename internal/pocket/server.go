package pocket

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
	"github.com/ratchet-rl/ratchet/internal/pocket/token"
)

// Names of the models that are served without anybody loading them.
const (
	ModelOwn   = "pocket"
	ModelSmall = "pocket-small"
	ModelJudge = "pocket-judge"
)

// builtIn names the model that serves a base.
var builtIn = map[string]string{BaseOwn: ModelOwn, BaseSmall: ModelSmall}

// ServerOptions of the model server.
type ServerOptions struct {
	// Seed of the base models; 0 means DefaultSeed.
	Seed int64
	// Cache is the directory of trained bases; empty means DefaultCache.
	Cache string
	// Log may be nil.
	Log *slog.Logger
	// Progress is told how the training of a base goes on; it may be nil. A base found in the cache reports once.
	Progress func(base string, done, total int, loss float64)
	// Metrics counts the calls; it may be nil.
	Metrics prometheus.Registerer
}

// Server is an OpenAI-compatible model server with vLLM's calls to load and unload checkpoints. It answers 503 with
// Retry-After until Prepare has the bases. All its state is in memory: after a restart the checkpoints have to be
// loaded anew, as with vLLM.
type Server struct {
	o       ServerOptions
	mux     *http.ServeMux
	slots   chan struct{} // bounds the computations at once
	calls   *prometheus.CounterVec
	serial  atomic.Int64
	started int64

	mu     sync.RWMutex // guards models and failed
	models map[string]*served
	failed error // why Prepare gave up
}

// served is one model under its name.
type served struct {
	name, root string
	builtIn    bool
	model      *nn.Model // nil: the reader
	vocabulary *token.Vocabulary
}

// NewServer makes a server; call Prepare beside serving it.
func NewServer(o ServerOptions) *Server {
	if o.Seed == 0 {
		o.Seed = DefaultSeed
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		o: o, mux: http.NewServeMux(), models: map[string]*served{},
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), started: time.Now().Unix(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ratchet_pocket_calls_total", Help: "Requests answered by the embedded model server, by model and status.",
		}, []string{"model", "status"}),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(s.calls)
	}
	s.mux.HandleFunc("GET /health", s.health)
	s.mux.HandleFunc("GET /v1/models", s.listModels)
	s.mux.HandleFunc("GET /v1/models/{name}", s.showModel)
	s.mux.HandleFunc("POST /v1/completions", s.serve(s.complete))
	s.mux.HandleFunc("POST /v1/chat/completions", s.serve(s.chat))
	s.mux.HandleFunc("POST /v1/load_lora_adapter", s.loadAdapter)
	s.mux.HandleFunc("POST /v1/unload_lora_adapter", s.unloadAdapter)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, notFound("no such route: %s %s", r.Method, r.URL.Path))
	})
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Prepare loads the bases from the cache, or trains them (about a minute of processor time, once), and opens the
// server. If it fails, the server goes on answering 503 with the reason, and Prepare may be called again.
func (s *Server) Prepare(ctx context.Context) error {
	models, err := s.loadBases(ctx)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failed = err
		return err
	}
	s.open(models)
	s.o.Log.Info("pocket is ready: a tiny trained stand-in, no language model", "seed", s.o.Seed)
	return nil
}

// loadBases makes what is served without anybody loading it.
func (s *Server) loadBases(ctx context.Context) (map[string]*served, error) {
	v, err := vocabulary()
	if err != nil {
		return nil, fmt.Errorf("learn the vocabulary: %w", err)
	}
	models := map[string]*served{ModelJudge: {name: ModelJudge, root: ModelJudge, builtIn: true}}
	for _, size := range []string{BaseOwn, BaseSmall} {
		base, name := Base{Size: size, Seed: s.o.Seed}, builtIn[size]
		m, _, err := base.load(ctx, s.o.Cache, func(done, total int, loss float64) {
			if s.o.Progress != nil {
				s.o.Progress(base.String(), done, total, loss)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("prepare base %s: %w", base, err)
		}
		models[name] = &served{name: name, root: base.String(), builtIn: true, model: m, vocabulary: v}
	}
	return models, nil
}

// open serves models and ends the time of 503.
func (s *Server) open(models map[string]*served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.models, models)
	s.failed = nil
}

// ready says why the server cannot answer yet.
func (s *Server) ready() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.models[ModelOwn] != nil:
		return nil
	case s.failed != nil:
		return unavailable("pocket cannot start: %v", s.failed)
	default:
		return unavailable("pocket is still training its base models; ask again")
	}
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if err := s.ready(); err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// find returns the model of a name.
func (s *Server) find(name string) (*served, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if m := s.models[name]; m != nil {
		return m, nil
	}
	return nil, notFound("The model `%s` does not exist.", name)
}

func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) {
	if err := s.ready(); err != nil {
		writeError(w, err)
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.models)) {
		list = append(list, s.describe(s.models[name]))
	}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": list})
}

func (s *Server) showModel(w http.ResponseWriter, r *http.Request) {
	err := s.ready()
	if err == nil {
		var m *served
		if m, err = s.find(r.PathValue("name")); err == nil {
			writeJSON(w, http.StatusOK, s.describe(m))
			return
		}
	}
	writeError(w, err)
}

func (s *Server) describe(m *served) map[string]any {
	d := map[string]any{
		"id": m.name, "object": "model", "created": s.started, "owned_by": "pocket", "root": m.root, "parent": nil,
	}
	if m.model != nil {
		d["max_model_len"] = m.model.Context
	}
	if !m.builtIn {
		d["parent"] = ModelOwn
	}
	return d
}
