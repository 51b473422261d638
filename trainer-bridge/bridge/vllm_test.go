package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// adapterServer answers as vLLM does, https://docs.vllm.ai/en/stable/features/lora.html.
type adapterServer struct {
	*httptest.Server

	mu    sync.Mutex // guards all below
	names []string   // what /v1/models lists
	loads int        // requests to load
	key   string     // of the last request to load
	// faults of the next load: refuse with this status, forget the reply, or accept and not list it.
	status         int
	lost, unlisted bool
}

func newAdapterServer(t *testing.T) *adapterServer {
	t.Helper()
	s := &adapterServer{names: []string{"base"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", s.list)
	mux.HandleFunc("POST /v1/load_lora_adapter", s.load)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *adapterServer) endpoint() string { return s.URL + "/v1" }

func (s *adapterServer) list(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	type model struct {
		ID string `json:"id"`
	}
	var data []model
	for _, name := range s.names {
		data = append(data, model{name})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": data})
}

func (s *adapterServer) load(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	s.key = r.Header.Get("Authorization")
	var request struct {
		Name string `json:"lora_name"`
		Path string `json:"lora_path"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Name == "" || request.Path == "" {
		http.Error(w, "missing field", http.StatusBadRequest)
		return
	}
	if slices.Contains(s.names, request.Name) {
		http.Error(w, "already loaded", http.StatusBadRequest)
		return
	}
	if _, err := os.Stat(request.Path); err != nil {
		http.Error(w, "No adapter found for "+request.Path, http.StatusNotFound)
		return
	}
	if s.status != 0 {
		http.Error(w, "not now", s.status)
		return
	}
	if !s.unlisted {
		s.names = append(s.names, request.Name)
	}
	if s.lost {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintln(w, "Success: LoRA adapter added")
}

// restart loses the adapters.
func (s *adapterServer) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = []string{"base"}
}

func (s *adapterServer) serves(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.names, name)
}

func newTestLora(t *testing.T, s shelf) *vllmLora {
	t.Helper()
	return &vllmLora{shelf: s, models: lister{}, http: http.DefaultClient, key: apiKeys(config.LLM{}), log: devstack.TestLog(t)}
}

// storedCheckpoint is a checkpoint in the store, not on the shelf.
func storedCheckpoint(t *testing.T, s shelf) *pb.Checkpoint {
	t.Helper()
	c, err := readCheckpoint(trained(t, map[string]string{"adapter_model.safetensors": "weights"}))
	if err != nil {
		t.Fatal(err)
	}
	uri, err := c.upload(t.Context(), s.blobs, "checkpoints/run/1/own")
	if err != nil {
		t.Fatal(err)
	}
	return &pb.Checkpoint{Id: c.id(), Target: "own", Sha256: c.sha256, Uri: uri}
}

func TestVllmLora(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		fault   func(s *adapterServer, name string)
		want    []string // of the error; none means success
		loads   int
		endless string // appended to the endpoint
	}{
		{name: "loaded", loads: 1},
		{name: "trailing slash", loads: 1, endless: "/"},
		{name: "already there", fault: func(s *adapterServer, name string) { s.names = append(s.names, name) }},
		{name: "lost reply", fault: func(s *adapterServer, _ string) { s.lost = true }, loads: 1},
		{
			name: "no runtime updates", fault: func(s *adapterServer, _ string) { s.status = http.StatusNotFound }, loads: 1,
			want: []string{"404", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"},
		},
		{name: "refused", fault: func(s *adapterServer, _ string) { s.status = 500 }, loads: 1, want: []string{"500", "not now"}},
		{
			name: "accepted but not listed", fault: func(s *adapterServer, _ string) { s.unlisted = true }, loads: 1,
			want: []string{"does not list it", "several servers"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, shelf := newAdapterServer(t), shelf{blobs: openBlobs(t), directory: t.TempDir()}
			checkpoint := storedCheckpoint(t, shelf)
			want := "own-" + checkpoint.GetId()
			if test.fault != nil {
				test.fault(server, want)
			}
			s, err := newTestLora(t, shelf).Ensure(t.Context(), loraOrder(server.endpoint()+test.endless, checkpoint))
			model := s.model
			if len(test.want) == 0 && (err != nil || model != want || !server.serves(want)) {
				t.Errorf("model %q, error %v, want %q served", model, err, want)
			}
			for _, text := range test.want {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("error %v does not say %q", err, text)
				}
			}
			if server.loads != test.loads {
				t.Errorf("%d requests to load, want %d", server.loads, test.loads)
			}
		})
	}
}

// TestVllmLoraRace: another bridge loads the adapter between our look and our request.
func TestVllmLoraRace(t *testing.T) {
	t.Parallel()
	server, shelf := newAdapterServer(t), shelf{blobs: openBlobs(t), directory: t.TempDir()}
	checkpoint := storedCheckpoint(t, shelf)
	lora := newTestLora(t, shelf)
	lora.models = &blindOnce{}
	server.names = append(server.names, "own-"+checkpoint.GetId())
	if _, err := lora.Ensure(t.Context(), loraOrder(server.endpoint(), checkpoint)); err != nil || server.loads != 1 {
		t.Errorf("error %v after %d requests, want \"already loaded\" taken as done", err, server.loads)
	}
}

// blindOnce sees no models the first time.
type blindOnce struct {
	lister

	looked bool
}

func (b *blindOnce) Models(ctx context.Context, endpoint string) ([]string, error) {
	if !b.looked {
		b.looked = true
		return nil, nil
	}
	return b.lister.Models(ctx, endpoint)
}

func TestVllmLoraSendsKey(t *testing.T) {
	t.Parallel()
	server, shelf := newAdapterServer(t), shelf{blobs: openBlobs(t), directory: t.TempDir()}
	file := t.TempDir() + "/key"
	if err := os.WriteFile(file, []byte("sk-test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lora := newTestLora(t, shelf)
	lora.key = apiKeys(config.LLM{KeyFiles: map[string]string{strings.TrimPrefix(server.URL, "http://"): file}})
	if _, err := lora.Ensure(t.Context(), loraOrder(server.endpoint(), storedCheckpoint(t, shelf))); err != nil {
		t.Fatal(err)
	}
	if server.key != "Bearer sk-test" {
		t.Errorf("Authorization %q, want the endpoint's key", server.key)
	}
}

// A server that quotes the key it was sent does not put it into the error.
func TestVllmLoraEchoedKey(t *testing.T) {
	t.Parallel()
	const key = "sk-0123456789abcdef"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "bad key: "+r.Header.Get("Authorization"), http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	d := &vllmLora{http: server.Client(), key: func(string) (string, error) { return key, nil }}
	err := d.load(t.Context(), server.URL+"/v1", "own-1", "/shelf/1")
	if err == nil || strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "[key]") {
		t.Errorf("%v, want the key replaced by [key]", err)
	}
}

func loraOrder(endpoint string, c *pb.Checkpoint) order {
	return order{deploy: config.Deploy{Deployer: config.DeployerVLLMLoRA, Endpoint: endpoint}, generation: 1, checkpoint: c}
}

// TestStatic: the endpoint must answer, and serve the model if it says what it serves.
func TestStatic(t *testing.T) {
	t.Parallel()
	const want = "org/small-g2-c0ffee"
	tests := []struct {
		name   string
		models []string
		down   bool
		ready  string
		want   string // of a notYet; none means success
	}{
		{name: "served", models: []string{"base", want}},
		{name: "lists nothing"},
		{name: "another model", models: []string{"base"}, want: `serves ["base"]`},
		{name: "another model, but ready", models: []string{"base"}, ready: "/v1/models"},
		{name: "not ready", ready: "/health", want: "answers 404"},
		{name: "nobody there", down: true, want: "connection refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := newAdapterServer(t)
			server.names = test.models
			if test.down {
				server.Close()
			}
			o := order{generation: 2, checkpoint: &pb.Checkpoint{Id: "c0ffee", Target: "small"}, deploy: config.Deploy{
				Endpoint: server.endpoint(), Model: "org/{target}-g{generation}-{checkpoint}", Ready: test.ready,
			}}
			s, err := static{probe{lister{}, http.DefaultClient}}.Ensure(t.Context(), o)
			if s.model != want || s.endpoint != server.endpoint() {
				t.Errorf("%+v, want the model %q at the endpoint", s, want)
			}
			if test.want == "" && err != nil || test.want != "" && (!isNotYet(err) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestUnknownDeployer(t *testing.T) {
	t.Parallel()
	if _, err := (deployers{}).of(config.Deploy{Deployer: "magic"}); err == nil {
		t.Error("a deployer that is none was accepted")
	}
	if _, err := (static{}).Ensure(t.Context(), order{}); err == nil {
		t.Error("static was accepted without a model")
	}
}

// lister asks an endpoint what it serves.
type lister struct{}

func (lister) Models(ctx context.Context, endpoint string) ([]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(endpoint, "/")+"/models", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var list struct {
		Data []struct{ ID string }
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return nil, err
	}
	var names []string
	for _, model := range list.Data {
		names = append(names, model.ID)
	}
	return names, nil
}
