package plan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/coordinator/plan"
	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/dataset"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/llm"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	"github.com/ratchet-rl/ratchet/internal/telemetry"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const (
	runName  = "r"
	patience = 2 * time.Minute
)

// rig is an embedded bus with a blob store, on which coordinators and scripted workers meet.
type rig struct {
	t     *testing.T
	ctx   context.Context
	cfg   config.Config
	blobs blob.Store
	conn  *bus.Conn
	llm   *llm.Client // nil: endpoints are not probed
}

func newRig(t *testing.T) *rig {
	t.Helper()
	cfg := config.Default()
	cfg.Bus = devstack.TestConfig(devstack.TestNATS(t))
	cfg.Blob.URL = "file://" + t.TempDir()
	cfg.Coordinator = config.Coordinator{Shard: 2, Window: 100, Poll: 50 * time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	blobs, err := blob.Open(ctx, cfg.Blob)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, ctx: ctx, cfg: cfg, blobs: blobs, conn: devstack.TestConn(t, cfg.Bus)}
	if err := r.conn.Apply(ctx, bus.NewTopology(cfg.Bus)); err != nil {
		t.Fatal(err)
	}
	return r
}

// coordinator runs a coordinator with a connection of its own until the returned function is called, which waits.
func (r *rig) coordinator() (kill func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	log := devstack.TestLog(r.t)
	conn, err := bus.Connect(ctx, r.cfg.Bus, bus.Options{Role: "coordinator", Log: log, Blobs: r.blobs})
	if err != nil {
		cancel()
		r.t.Fatal(err)
	}
	env := &app.Env{Config: r.cfg, Role: "coordinator", Log: log, Bus: conn, Blobs: r.blobs, Metrics: telemetry.New("coordinator"), LLM: r.llm}
	ended := make(chan error, 1)
	go func() { ended <- plan.Run(ctx, env) }()
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("coordinator: %v", err)
		}
		conn.Close()
	}
	r.t.Cleanup(kill)
	return kill
}

// spec is a run of two generations over questions and half as many held out, with a student beside own.
func (r *rig) spec(questions int) config.Run {
	r.t.Helper()
	policy := config.Policy{
		Model:     config.Model{Endpoint: "http://127.0.0.1:1/v1", Model: "tiny", API: "completions", MaxTokens: 64},
		Rendering: "few_shot", Candidates: 2, Temperature: 0.5, Decoding: config.DecodingFree,
	}
	hour := config.Duration(time.Hour)
	return config.Run{
		Name: runName, Seed: 1, Questions: r.questions("pool", questions), Policy: policy,
		Evaluation: config.Evaluation{Set: r.questions("held", max(1, questions/2)), Repetitions: 2, Judge: "exact"},
		Search:     config.SearchTool{Kind: "bm25", Corpus: "corpus.jsonl", Results: 3, Budget: 2},
		Rankers:    []string{"perplexity", "mine"}, Strategy: config.Strategy{Name: "rest-react", Ranker: "perplexity"},
		Grow: config.Grow{Samples: []int{2, 1}}, Deploy: config.Deploy{Deployer: "static", Endpoint: policy.Endpoint, Model: "m", Rendering: "bare"},
		Targets: []config.Target{
			{Name: "own", Base: "b", Driver: "command", Command: []string{"true"}, Timeout: hour, Candidates: 2},
			{Name: "small", Base: "s", Driver: "command", Command: []string{"true"}, Timeout: hour, Candidates: 2},
		},
		Limits:      config.Limits{Call: hour, Search: hour, Trajectory: hour},
		Generations: 2, Plateau: 1, Gate: config.Gate{Rule: "bootstrap", Level: 0.05, Resamples: 100},
	}
}

func (r *rig) questions(name string, n int) config.Source {
	r.t.Helper()
	var lines bytes.Buffer
	write := dataset.NewLines[dataset.Question](&lines).Write
	for i := range n {
		token := fmt.Sprintf("%s-%d", name, i)
		if err := write(dataset.Question{Token: token, ID: token, Text: "What is " + token + "?"}); err != nil {
			r.t.Fatal(err)
		}
	}
	ref, err := blob.PutContent(r.ctx, r.blobs, "questions", "jsonl", lines.Bytes())
	if err != nil {
		r.t.Fatal(err)
	}
	return config.Source{Name: name, Path: name + ".jsonl", URI: ref.URI, Count: n}
}

// ask asks the coordinator's API; nobody may be there yet.
func (r *rig) ask(endpoint string, in any) ([]byte, error) {
	r.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []byte
	r.until("the coordinator answers", func() bool {
		out, err = r.conn.Request(r.ctx, endpoint, body)
		return err == nil || !strings.Contains(err.Error(), bus.ErrNobody.Error())
	})
	return out, err
}

func (r *rig) mustAsk(endpoint string, in any) {
	r.t.Helper()
	if _, err := r.ask(endpoint, in); err != nil {
		r.t.Fatalf("%s: %v", endpoint, err)
	}
}

type wish struct {
	Run    string `json:"run"`
	Reason string `json:"reason,omitempty"`
	Calls  int64  `json:"calls,omitempty"`

	Cost float64 `json:"cost,omitempty"`
}

// state is the run's record; empty before the run is submitted.
func (r *rig) state() (s runstate.State) {
	r.t.Helper()
	value, _, err := r.conn.KV(runstate.Bucket).Get(r.ctx, runstate.Key(runName))
	if err != nil {
		return s
	}
	if s, err = runstate.Unmarshal(value); err != nil {
		r.t.Fatal(err)
	}
	return s
}

// until looks again and again until done; a run that never comes there fails the test.
func (r *rig) until(what string, done func() bool) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-r.ctx.Done():
			s := r.state()
			s.Progress = nil
			r.t.Fatalf("not within %s: %s; the run: %+v", patience, what, s)
		case <-tick.C:
		}
	}
}

func (r *rig) untilFinished() runstate.State {
	r.t.Helper()
	r.until("the run is finished", func() bool { return r.state().Finished })
	return r.state()
}

func (r *rig) untilPaused() runstate.State {
	r.t.Helper()
	r.until("the run is paused", func() bool { return r.state().Paused })
	return r.state()
}

// onPhase waits for the first line of the run's log about the phase.
func (r *rig) onPhase(generation int, phase pb.Phase) {
	r.t.Helper()
	r.until(fmt.Sprintf("phase %s of generation %d", phase, generation), func() bool {
		for _, e := range r.events(bus.Runs) {
			if e.GetRunLog().GetPhase() == phase && int(e.GetGeneration()) == generation {
				return true
			}
		}
		return false
	})
}

func (r *rig) events(stream string) (all []*pb.Event) {
	r.t.Helper()
	for m, err := range r.conn.Read(r.ctx, stream) {
		if err != nil {
			r.t.Fatalf("read %s: %v", stream, err)
		}
		event, err := m.Event(r.ctx)
		if err != nil {
			r.t.Fatalf("read %s: %v", stream, err)
		}
		all = append(all, event)
	}
	return all
}

// logIDs are the ids of the run's log in order.
func (r *rig) logIDs() (ids []string) {
	r.t.Helper()
	for _, e := range r.events(bus.Runs) {
		ids = append(ids, e.GetId())
	}
	return ids
}
