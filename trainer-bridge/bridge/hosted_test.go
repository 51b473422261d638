package bridge

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// tuner is the fine-tuning API, in so far as one job that ends at once needs it; package openai has the tests of the rest.
// It follows the published schema and is written by hand.
type tuner struct {
	*httptest.Server

	uploaded string
	made     atomic.Int32
	failure  atomic.Bool
}

func newTuner(t *testing.T) *tuner {
	t.Helper()
	s := &tuner{}
	mux := http.NewServeMux()
	empty := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"object":"list","data":[]}`) }
	mux.HandleFunc("GET /v1/files", empty)
	mux.HandleFunc("GET /v1/fine_tuning/jobs", func(w http.ResponseWriter, r *http.Request) {
		jobs := make([]string, s.made.Load())
		for i := range jobs {
			jobs[i] = fmt.Sprintf(`{"id":"ftjob-%d","created_at":%d,"metadata":{"ratchet_job":%q}}`, i+1, i, r.URL.Query().Get("metadata[ratchet_job]"))
		}
		fmt.Fprintf(w, `{"object":"list","data":[%s]}`, strings.Join(jobs, ","))
	})
	mux.HandleFunc("GET /v1/fine_tuning/jobs/{id}/events", empty)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[{"id":"ft:tuned"}]}`) })
	mux.HandleFunc("POST /v1/files", func(w http.ResponseWriter, r *http.Request) {
		file, _, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text, _ := io.ReadAll(file)
		s.uploaded = string(text)
		fmt.Fprint(w, `{"id":"file-1"}`)
	})
	mux.HandleFunc("POST /v1/fine_tuning/jobs", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"id":"ftjob-%d","status":"queued"}`, s.made.Add(1))
	})
	mux.HandleFunc("GET /v1/fine_tuning/jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		if s.failure.Load() {
			fmt.Fprintf(w, `{"id":%q,"status":"failed","error":{"code":"invalid_training_file","message":"too few examples"}}`, r.PathValue("id"))
			return
		}
		fmt.Fprintf(w, `{"id":%q,"status":"succeeded","fine_tuned_model":"ft:tuned"}`, r.PathValue("id"))
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// TestHosted is the way of a mixture to a hosted model and to the policy that asks it.
func TestHosted(t *testing.T) {
	t.Parallel()
	api, folder := newTuner(t), t.TempDir()
	manifest, err := json.Marshal(Manifest{Parts: []Part{{Key: "mixtures/run/1/part-00000-aa.jsonl"}, {Key: "mixtures/run/1/part-00001-bb.jsonl"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"manifest.json": string(manifest), "part-00000-aa.jsonl": `{"prompt":"<p>","completion":"c1"}` + "\n", "part-00001-bb.jsonl": `{"prompt":"p2","completion":"c2"}` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := tuning{directory: t.TempDir(), http: api.Client(), key: apiKeys(config.LLM{}), every: time.Millisecond}
	j := shellJob("")
	j.manifest, j.target.Driver, j.target.Endpoint = filepath.Join(folder, "manifest.json"), config.DriverOpenAI, api.URL+"/v1"

	api.failure.Store(true)
	if _, err := d.Train(t.Context(), j, func(progress) {}); !bus.IsPermanent(err) || !strings.Contains(err.Error(), "too few examples") {
		t.Errorf("error %v, want the API's reason", err)
	}
	api.failure.Store(false)
	var out string
	for range 2 { // the second time it is done
		if out, err = d.Train(t.Context(), j, func(progress) {}); err != nil {
			t.Fatal(err)
		}
	}
	const want = `{"messages":[{"role":"user","content":"<p>"},{"role":"assistant","content":"c1"}]}` + "\n" +
		`{"messages":[{"role":"user","content":"p2"},{"role":"assistant","content":"c2"}]}` + "\n"
	if api.uploaded != want || api.made.Load() != 2 {
		t.Errorf("uploaded %q for %d jobs, want %q, and one job after the one that failed", api.uploaded, api.made.Load(), want)
	}

	s := shelf{blobs: openBlobs(t), directory: t.TempDir()}
	c, err := readCheckpoint(out)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := c.upload(t.Context(), s.blobs, "checkpoints/run/1/own")
	if err != nil {
		t.Fatal(err)
	}
	o := order{checkpoint: &pb.Checkpoint{Id: c.id(), Target: "own", Sha256: c.sha256, Uri: uri}}
	got, err := hosted{s, probe{lister{}, api.Client()}}.Ensure(t.Context(), o)
	if err != nil || got != (served{model: "ft:tuned", endpoint: api.URL + "/v1"}) {
		t.Errorf("%+v, %v, want the tuned model at the API", got, err)
	}
	o.checkpoint = storedCheckpoint(t, s)
	if _, err := (hosted{s, probe{}}).Ensure(t.Context(), o); !bus.IsPermanent(err) || !strings.Contains(err.Error(), "is no hosted model") {
		t.Errorf("error %v of a checkpoint with weights, want it refused", err)
	}
}
