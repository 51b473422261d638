package plan_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// What each endpoint can with each model is in the run's log once, however often the coordinator begins anew.
func TestProbedOnce(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64 // about tiny
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("X-Session-Id") != llm.ProbeAffinity && q.Method == http.MethodPost {
			t.Errorf("a call that says it is no probe: %v", q.Header)
		}
		if body, _ := io.ReadAll(q.Body); bytes.Contains(body, []byte(`"tiny"`)) {
			calls.Add(1)
		}
		fmt.Fprint(w, `{"data":[{"id":"tiny"}],"choices":[{"text":"a b c","message":{"content":"a b c"}}]}`)
	}))
	t.Cleanup(server.Close)
	r := newRig(t)
	r.llm = llm.New(r.cfg.LLM, nil, nil)
	t.Cleanup(r.llm.Close)
	r.workers(twoGenerations)
	kill := r.coordinator()
	spec := r.spec(4)
	spec.Policy.Endpoint = server.URL + "/v1"
	spec.Policy.Endpoints = []string{server.URL + "/v1", "http://127.0.0.1:1/v1"} // nobody is at the second
	r.mustAsk("submit", spec)
	r.until("the start's endpoint is in the log", func() bool { return len(r.probed()) > 0 })
	kill()
	asked := calls.Load()
	r.coordinator()
	r.untilFinished()
	if n := calls.Load(); n != asked {
		t.Errorf("%d calls about what is in the log already", n-asked)
	}
	got := r.probed()
	slices.Sort(got)
	if len(got) == 0 || got[0] != server.URL+"/v1 tiny" || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("got %q, want each once", got)
	}
}

func (r *rig) probed() (all []string) {
	r.t.Helper()
	for _, e := range r.events(bus.Runs) {
		if found := e.GetRunLog().GetCapabilities(); found != nil {
			if e.GetRunLog().GetWhat() != "probed" || len(found.GetFound()) == 0 || found.GetApi() != pb.Api_API_COMPLETIONS {
				r.t.Errorf("log line %v", e.GetRunLog())
			}
			all = append(all, found.GetEndpoint()+" "+found.GetModel())
		}
	}
	return all
}
