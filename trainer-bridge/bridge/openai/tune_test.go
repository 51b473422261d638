package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// service answers as the published schema says (https://developers.openai.com/api/reference, as openai-go v3.96.0 has it).
// It is a stand-in written by hand: the real service is closed to new organisations.
type service struct {
	*httptest.Server

	mu      sync.Mutex // guards all below
	files   map[string]string
	names   map[string]string
	jobs    []map[string]any
	polls   int
	fails   string         // the error that the next jobs end with
	lose    map[string]int // replies to lose, by method and path
	refuse  map[string]int // statuses to answer with once, by method and path
	uploads int
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{files: map[string]string{}, names: map[string]string{}, lose: map[string]int{}, refuse: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/files", s.listFiles)
	mux.HandleFunc("POST /v1/files", s.upload)
	mux.HandleFunc("GET /v1/fine_tuning/jobs", s.list)
	mux.HandleFunc("POST /v1/fine_tuning/jobs", s.create)
	mux.HandleFunc("GET /v1/fine_tuning/jobs/{id}", s.show)
	mux.HandleFunc("GET /v1/fine_tuning/jobs/{id}/events", s.events)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		what := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1")
		if r.Header.Get("Authorization") != "Bearer sk-test" {
			http.Error(w, `{"error":{"code":"invalid_api_key","message":"bad key"}}`, http.StatusUnauthorized)
			return
		}
		if status := s.refuse[what]; status != 0 {
			delete(s.refuse, what)
			w.WriteHeader(status)
			fmt.Fprint(w, `{"error":{"code":"server_error","message":"not now"}}`)
			return
		}
		if s.lose[what] > 0 {
			s.lose[what]--
			mux.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func reply(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func (s *service) listFiles(w http.ResponseWriter, _ *http.Request) {
	data := []map[string]any{}
	for id, content := range s.files {
		data = append(data, map[string]any{"id": id, "object": "file", "purpose": "fine-tune", "filename": s.names[id], "bytes": len(content)})
	}
	reply(w, map[string]any{"object": "list", "data": data})
}

func (s *service) upload(w http.ResponseWriter, r *http.Request) {
	file, header, err := r.FormFile("file")
	if err != nil || r.FormValue("purpose") != "fine-tune" {
		http.Error(w, `{"error":{"code":"invalid_request","message":"no file or purpose"}}`, http.StatusBadRequest)
		return
	}
	content, _ := io.ReadAll(file)
	s.uploads++
	id := fmt.Sprintf("file-%d", s.uploads)
	s.files[id], s.names[id] = string(content), header.Filename
	reply(w, map[string]any{"id": id, "object": "file", "filename": header.Filename, "bytes": len(content)})
}

func (s *service) list(w http.ResponseWriter, r *http.Request) {
	data := []map[string]any{}
	for _, j := range s.jobs {
		if j["metadata"].(map[string]any)[nameKey] == r.URL.Query().Get("metadata["+nameKey+"]") {
			data = append(data, j)
		}
	}
	reply(w, map[string]any{"object": "list", "data": data, "has_more": false})
}

func (s *service) create(w http.ResponseWriter, r *http.Request) {
	var j map[string]any
	if err := json.NewDecoder(r.Body).Decode(&j); err != nil || s.files[j["training_file"].(string)] == "" {
		http.Error(w, `{"error":{"code":"invalid_training_file","message":"no such file"}}`, http.StatusBadRequest)
		return
	}
	j["id"], j["object"], j["status"], j["created_at"] = fmt.Sprintf("ftjob-%d", len(s.jobs)+1), "fine_tuning.job", "validating_files", len(s.jobs)
	s.jobs = append(s.jobs, j)
	reply(w, j)
}

// show has each job go one status further.
func (s *service) show(w http.ResponseWriter, r *http.Request) {
	for _, j := range s.jobs {
		if j["id"] != r.PathValue("id") {
			continue
		}
		next := map[string]string{"validating_files": "queued", "queued": "running", "running": "succeeded"}
		switch status := next[j["status"].(string)]; {
		case status == "succeeded" && s.fails != "":
			j["status"], j["error"] = "failed", map[string]any{"code": "exceeded_quota", "message": s.fails}
		case status == "succeeded":
			j["status"], j["fine_tuned_model"] = status, "ft:base::"+j["suffix"].(string)
		case status != "":
			j["status"] = status
		}
		reply(w, j)
		return
	}
	http.Error(w, `{"error":{"code":"not_found","message":"no such job"}}`, http.StatusNotFound)
}

// events has one more at each look; the newest come first.
func (s *service) events(w http.ResponseWriter, _ *http.Request) {
	s.polls++
	data := []map[string]any{}
	for i := s.polls; i > 0; i-- {
		data = append(data, map[string]any{
			"id": fmt.Sprintf("ftevent-%d", i), "object": "fine_tuning.job.event", "level": "info", "type": "metrics",
			"message": fmt.Sprintf("Step %d/9", i), "data": map[string]any{"step": i, "total_steps": 9, "train_loss": 1 / float64(i)},
		})
	}
	reply(w, map[string]any{"object": "list", "data": data})
}

func (s *service) client() Client {
	return Client{Endpoint: s.URL + "/v1", HTTP: &http.Client{Timeout: 10 * time.Second}, Key: func(string) (string, error) { return "sk-test", nil }}
}

func example(t *testing.T) Tuning {
	t.Helper()
	file := filepath.Join(t.TempDir(), "training.jsonl")
	if err := os.WriteFile(file, []byte(`{"messages":[]}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Tuning{Name: "own-0123456789abcdef", Model: "base", Seed: 7, File: file}
}

const often = time.Millisecond

// TestTune: each write once, whatever is lost or refused on the way, and however often it is asked for.
func TestTune(t *testing.T) {
	t.Parallel()
	const files, jobs = "POST /files", "POST /fine_tuning/jobs"
	for name, fault := range map[string]func(s *service){
		"no fault":              func(*service) {},
		"upload refused":        func(s *service) { s.refuse[files] = http.StatusBadGateway },
		"upload's reply lost":   func(s *service) { s.lose[files] = 1 },
		"job refused":           func(s *service) { s.refuse[jobs] = http.StatusTooManyRequests },
		"job's reply lost":      func(s *service) { s.lose[jobs] = 1 },
		"look's reply lost":     func(s *service) { s.lose["GET /fine_tuning/jobs/ftjob-1"] = 1 },
		"search for it refused": func(s *service) { s.refuse["GET /fine_tuning/jobs"] = http.StatusInternalServerError },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, tuning := newService(t), example(t)
			fault(s)
			var reports []Progress
			for range 2 { // the second time is another bridge
				model, id, err := s.client().Tune(t.Context(), tuning, often, func(p Progress) { reports = append(reports, p) })
				if want := "ft:base::" + tuning.Name; err != nil || model != want || id != "ftjob-1" {
					t.Fatalf("%q, %q, %v, want %q", model, id, err, want)
				}
			}
			if len(s.jobs) != 1 || s.uploads != 1 {
				t.Errorf("%d jobs and %d uploads, want one of each", len(s.jobs), s.uploads)
			}
			if last := reports[len(reports)-1]; last.Step == 0 || last.Total != 9 || last.Loss == 0 {
				t.Errorf("last progress %+v, want the events' steps and loss", last)
			}
		})
	}
}

// TestAdopted: a bridge that goes leaves the job, and the next waits for it.
func TestAdopted(t *testing.T) {
	t.Parallel()
	s, tuning := newService(t), example(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := s.client().Tune(ctx, tuning, time.Minute, func(Progress) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the end of the bridge", err)
	}
	if model, _, err := s.client().Tune(t.Context(), tuning, often, func(Progress) {}); err != nil || model == "" || len(s.jobs) != 1 {
		t.Errorf("%q, %v after %d jobs, want the model of the one", model, err, len(s.jobs))
	}
}

// TestFailed: the reason is told; asked for again, a job that was told of is passed over.
func TestFailed(t *testing.T) {
	t.Parallel()
	s, tuning := newService(t), example(t)
	s.fails = "the file has too few examples"
	_, id, err := s.client().Tune(t.Context(), tuning, often, func(Progress) {})
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), s.fails) || id == "" {
		t.Fatalf("%q, %v, want the reason", id, err)
	}
	s.fails, tuning.Past = "", id
	if model, again, err := s.client().Tune(t.Context(), tuning, often, func(Progress) {}); err != nil || model == "" || again == id {
		t.Errorf("%q of %q, %v, want a new job's", model, again, err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s, tuning := newService(t), example(t)
	c := s.client()
	c.Key = func(string) (string, error) { return "sk-wrong", nil }
	if _, _, err := c.Tune(t.Context(), tuning, often, func(Progress) {}); err == nil || !strings.Contains(err.Error(), "invalid_api_key") {
		t.Errorf("error %v, want the refusal, at once", err)
	}
	if Passes(&Error{Status: http.StatusTooManyRequests, Code: "insufficient_quota"}) {
		t.Error("an account without money is asked again for ever")
	}
}
