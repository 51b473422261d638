package rollout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/rollout-worker/rollout"
)

const (
	run = "r"
	// steps of a trajectory with two searches, each one call.
	steps = 8
	// patience is for whatever should come soon.
	patience = 30 * time.Second
)

// rig is a bus, a blob store with a corpus, and a run; workers are added to it.
type rig struct {
	conn *bus.Conn
	cfg  config.Config
}

// newRig makes a rig whose leases last so long.
func newRig(t testing.TB, lease time.Duration) *rig {
	t.Helper()
	cfg := config.Default()
	cfg.Bus = devstack.TestConfig(devstack.TestNATS(t))
	cfg.Bus.AckWait = lease
	cfg.Blob.URL = "file://" + t.TempDir()
	cfg.Search.Directory = t.TempDir()
	cfg.LLM.Tries, cfg.LLM.OpenAfter, cfg.LLM.OpenFor = 1, 1, 20*time.Millisecond
	cfg.Rollout.Drain = 0
	r := &rig{conn: devstack.TestConn(t, cfg.Bus), cfg: cfg}
	if err := r.conn.Apply(t.Context(), bus.NewTopology(cfg.Bus)); err != nil {
		t.Fatal(err)
	}
	r.submit(t)
	return r
}

// submit writes the corpus and the run's spec, as ratchet submit does.
func (r *rig) submit(t testing.TB) {
	t.Helper()
	blobs, err := blob.Open(t.Context(), r.cfg.Blob)
	if err != nil {
		t.Fatal(err)
	}
	var corpus bytes.Buffer
	for i := range 12 {
		text := strings.Repeat(fmt.Sprintf("The river forms a delta of %d arms before it reaches the sea. ", i), 8)
		fmt.Fprintf(&corpus, "{\"id\":\"%d\",\"title\":\"River %d\",\"contents\":%q}\n", i, i, text)
	}
	ref, err := blob.PutContent(t.Context(), blobs, "corpora", "jsonl", corpus.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	spec := config.DefaultRun()
	spec.Name, spec.Search.URI = run, ref.URI
	spec.Prices = []config.Price{{Of: "m", Prompt: 2, Completion: 3}}
	value, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.conn.KV("runs").Create(t.Context(), run+".spec", value); err != nil {
		t.Fatal(err)
	}
}

// worker is a rollout worker with connections of its own.
type worker struct {
	env   *app.Env
	stop  context.CancelFunc
	ended chan struct{}

	killed atomic.Bool
}

// work starts a worker; it logs to the test, and to logs too.
func (r *rig) work(t testing.TB, slots int, drain time.Duration, logs ...io.Writer) *worker {
	t.Helper()
	cfg := r.cfg
	cfg.Rollout.Slots, cfg.Rollout.Drain, cfg.LLM.Connections = slots, drain, max(slots, 64)
	env, err := app.Open(t.Context(), "rollout-worker", cfg, io.MultiWriter(append(logs, t.Output())...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{env: env, stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		if err := rollout.Run(ctx, env); err != nil && !w.killed.Load() {
			t.Errorf("worker: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-w.ended
		env.LLM.Close()
		env.Close()
	})
	return w
}

// kill ends a worker as a crash would: nothing of what it does next reaches the bus.
func (w *worker) kill() {
	w.killed.Store(true)
	w.env.Bus.Abort() // not Close, whose draining lets it hand its work back
	w.stop()
	<-w.ended
}

// task is a shard of as many questions, two searches and four candidates each.
func task(e *endpoint, id string, questions, samples int) *pb.Task {
	shard := &pb.Shard{
		Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Samples: int32(samples),
		Policy: &pb.Policy{
			Name: "p", Endpoint: e.URL + "/v1", Model: "m", Rendering: pb.Rendering_RENDERING_BARE,
			Sampling: &pb.Sampling{Candidates: 4, Temperature: 0.5, MaxTokens: 512, Resamples: 2},
		},
		Limits: &pb.Limits{Searches: 2, Results: 3, TrajectoryMs: time.Minute.Milliseconds()},
	}
	for i := range questions {
		token := fmt.Sprintf("pool-%s-%d", id, i)
		shard.Questions = append(shard.Questions, &pb.Question{Token: token, Text: "Which river forms the delta of " + token + "?"})
	}
	return &pb.Task{Id: id, Kind: "rollout", Work: &pb.Task_Shard{Shard: shard}}
}

func (r *rig) publish(t testing.TB, task *pb.Task) {
	t.Helper()
	if err := r.conn.PublishTask(t.Context(), run, 1, task); err != nil {
		t.Fatal(err)
	}
}

// tasks are the ids of those outstanding.
func (r *rig) tasks(t testing.TB) []string {
	t.Helper()
	var ids []string
	for m, err := range r.conn.Browse(t.Context(), bus.Tasks, bus.RunFilter(bus.Tasks, run)) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, path.Ext(m.Subject)[1:])
	}
	return ids
}

// settled waits until no task is left.
func (r *rig) settled(t testing.TB) {
	t.Helper()
	await(t, "all tasks done", func() bool { return len(r.tasks(t)) == 0 })
}

// results are the trajectories that were published, by identity, without the time they took.
func (r *rig) results(t testing.TB) map[string]*pb.Trajectory {
	t.Helper()
	all := map[string]*pb.Trajectory{}
	for m, err := range r.conn.Read(t.Context(), bus.Trajectories, bus.RunFilter(bus.Trajectories, run)) {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := m.Event(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := ev.GetTrajectory()
		id := bus.IDTokens(got.GetIdentity())
		if all[id] != nil {
			t.Errorf("%s twice", id)
		}
		for _, s := range got.GetSteps() {
			s.ElapsedMs = 0
		}
		all[id] = got
	}
	return all
}

// completed checks that there are as many trajectories, all completed.
func (r *rig) completed(t testing.TB, want int) map[string]*pb.Trajectory {
	t.Helper()
	all := r.results(t)
	if len(all) != want {
		t.Errorf("%d trajectories, want %d", len(all), want)
	}
	for id, got := range all {
		if got.GetOutcome() != pb.Outcome_OUTCOME_COMPLETED || len(got.GetSteps()) != steps || got.GetAnswer() == "" {
			t.Errorf("%s: %s, %d steps, answer %q, %s", id, got.GetOutcome(), len(got.GetSteps()), got.GetAnswer(), got.GetReason())
		}
	}
	return all
}

// same compares results.
func same(t testing.TB, have, want map[string]*pb.Trajectory) {
	t.Helper()
	for id, w := range want {
		if !proto.Equal(have[id], w) {
			t.Errorf("%s differs:\nhave %v\nwant %v", id, have[id], w)
		}
	}
}

// await polls until it is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// receive takes one value, or fails.
func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}

// watch is a log that closes seen when a line contains text.
type watch struct {
	text string
	seen chan struct{}
	once sync.Once
}

func watchFor(text string) *watch { return &watch{text: text, seen: make(chan struct{})} }

func (w *watch) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(w.text)) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(line), nil
}
