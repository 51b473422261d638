package pocket

import (
	"fmt"
	"net/http"
	"strings"
)

// adapterRequest is vLLM's body of load_lora_adapter and unload_lora_adapter.
type adapterRequest struct {
	Name string `json:"lora_name"`
	Path string `json:"lora_path"`
}

// loadAdapter serves the checkpoint at a path under a name. vLLM's answers: 400 for a missing field or a name that is
// taken, 404 for a path without a checkpoint, 200 with a sentence.
func (s *Server) loadAdapter(w http.ResponseWriter, r *http.Request) {
	var req adapterRequest
	err := readJSON(w, r, &req)
	if err == nil {
		err = s.load(req)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	s.o.Log.Info("checkpoint loaded", "model", req.Name, "path", req.Path)
	fmt.Fprintf(w, "Success: LoRA adapter '%s' added successfully.", req.Name)
}

func (s *Server) load(req adapterRequest) error {
	if req.Name == "" || req.Path == "" {
		return badRequest("Both 'lora_name' and 'lora_path' must be provided.")
	}
	if err := s.ready(); err != nil {
		return err
	}
	taken := func() error {
		if s.models[req.Name] != nil {
			return badRequest("The lora adapter '%s' has already been loaded.", req.Name)
		}
		return nil
	}
	s.mu.RLock()
	err := taken()
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	v, err := vocabulary()
	if err != nil {
		return err
	}
	m, _, err := readCheckpoint(strings.TrimPrefix(req.Path, "file://"), v.Hash())
	if err != nil {
		return notFound("Loading lora %s failed: No adapter found for %s: %v", req.Name, req.Path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := taken(); err != nil { // by another request meanwhile
		return err
	}
	s.models[req.Name] = &served{name: req.Name, root: req.Path, model: m, vocabulary: v}
	return nil
}

// unloadAdapter forgets a loaded checkpoint; calls that are using it finish.
func (s *Server) unloadAdapter(w http.ResponseWriter, r *http.Request) {
	var req adapterRequest
	err := readJSON(w, r, &req)
	if err == nil {
		err = s.unload(req.Name)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	fmt.Fprintf(w, "Success: LoRA adapter '%s' removed successfully.", req.Name)
}

func (s *Server) unload(name string) error {
	if name == "" {
		return badRequest("'lora_name' needs to be provided to unload a LoRA adapter.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.models[name]; m == nil || m.builtIn {
		return notFound("The lora adapter '%s' cannot be found.", name)
	}
	delete(s.models, name)
	return nil
}
