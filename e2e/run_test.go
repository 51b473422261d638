package e2e

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/pocket/world"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// The run of all tests: one generation, so that a policy and a question are a trajectory.
const (
	runName      = "e2e"
	pool         = 20
	heldOut      = 24
	rolloutSlots = 4
	rankSlots    = 2
	judgeSlots   = 2
	shardSize    = 2
	worldSeed    = 7

	ackWait  = 3 * time.Second
	leaseTTL = time.Second
)

var targets = []string{config.OwnTarget, "student"}

// site is an installation in a directory of its own: configuration, run file, data.
type site struct {
	dir, config, run string
	bus              string   // the bus's address
	members          []string // the addresses of a cluster's servers
	key              string   // the API key, by which the model server knows the course
	models           *server
	trainer          string // the program that trains
	course           *course
}

// newSite writes configuration and run file; blobs are lines of the section blob, a directory if there are none.
func newSite(t *testing.T, blobs ...string) site {
	t.Helper()
	trainer, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return site{dir: t.TempDir(), bus: freeAddress(t), models: models(), trainer: trainer}.write(t, blobs...)
}

// at is the site in a directory, as far as the directory says.
func (s site) at(t *testing.T) site {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(s.dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	s.config, s.run = filepath.Join(s.dir, "ratchet.yaml"), filepath.Join(s.dir, "run.yaml")
	s.key, s.course = string(key), s.models.course(string(key))
	return s
}

// write writes all that a site consists of before it is started.
func (s site) write(t *testing.T, blobs ...string) site {
	t.Helper()
	if len(blobs) == 0 {
		blobs = []string{"url: file://" + filepath.Join(s.dir, "blobs")}
	}
	if err := world.New(worldSeed).Write(s.dir); err != nil {
		t.Fatal(err)
	}
	key := rand.Text()
	write(t, filepath.Join(s.dir, "key"), cmp.Or(s.key, key))
	s = s.at(t)
	write(t, s.config, fmt.Sprintf(`
bus: {url: "nats://%[1]s", ack_wait: %[7]s, lease_ttl: %[8]s, max_bytes: 134217728}
blob:
  %[2]s
llm: {key_file: %[3]s/key}
search: {directory: %[3]s/search}
bridge: {directory: %[3]s/training}
coordinator: {shard: %[9]d, poll: 500ms}
rollout: {slots: %[4]d}
rank: {slots: %[5]d}
evaluator: {slots: %[6]d}
http: {listen: "127.0.0.1:0"}
up: {directory: %[3]s, bus: "%[1]s", pocket: "off"}
`, s.bus, strings.Join(blobs, "\n  "), s.dir, rolloutSlots, rankSlots, judgeSlots, ackWait, leaseTTL, shardSize))
	write(t, s.run, s.runFile(t, key))
	return s
}

func (s site) runFile(t *testing.T, key string) string {
	t.Helper()
	command, err := json.Marshal(s.trainCommand(key)) // which is YAML too
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`
name: %[1]s
seed: 11
questions: {path: %[2]s, limit: %[3]d}
evaluation:
  set: {path: %[4]s, limit: %[5]d}
  repetitions: 1
search: {corpus: %[6]s, budget: 5}
policy: {endpoint: "%[7]s/v1", model: %[8]s, rendering: bare, candidates: 3}
judge: {endpoint: "%[7]s/v1", model: %[9]s}
deploy: {deployer: static, model: "%[10]s-{generation}-{target}"}
generations: 1
targets:
`, runName, world.PoolFile, pool, world.HeldOutFile, heldOut, world.CorpusFile, s.models.URL, novice, judge, trained)
	for _, name := range targets {
		text += fmt.Sprintf("  - {name: %s, base: none, command: %s}\n", name, command)
	}
	return text
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// submit gives the run to the coordinator, once there is one; submitting again changes nothing.
func (s site) submit(t *testing.T) {
	t.Helper()
	var said string
	defer func() { // also when the waiting fails the test
		if t.Failed() {
			t.Log(said)
		}
	}()
	eventually(t, "a coordinator to take the run", time.Minute, func() bool {
		out, err := ratchet(t, s.config, "submit", s.run)
		said = string(out)
		return err == nil
	})
}

// connect reaches the bus of the site; the connection outlives restarts of the server.
func (s site) connect(t *testing.T) *bus.Conn {
	t.Helper()
	return s.connectAs(t, bus.RoleOperator)
}

func (s site) connectAs(t *testing.T, role string) *bus.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg, blobs := s.load(t)
	if key := bus.SeedFile(filepath.Join(s.dir, "users"), role); fileExists(key) {
		cfg.Bus.NKeyFile = key // `ratchet up` made it
	}
	conn, err := bus.Connect(ctx, cfg.Bus, bus.Options{Role: role, Log: slog.New(slog.DiscardHandler), Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (s site) load(t *testing.T) (config.Config, blob.Store) {
	t.Helper()
	cfg, _, err := config.Load(s.config, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(t.Context(), cfg.Blob)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, blobs
}

// state is the run's record; the zero value while there is none to be had.
func state(ctx context.Context, conn *bus.Conn) runstate.State { return stateOf(ctx, conn, runName) }

func stateOf(ctx context.Context, conn *bus.Conn, run string) (out runstate.State) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	value, _, err := conn.KV(runstate.Bucket).Get(ctx, runstate.Key(run))
	if err != nil {
		return runstate.State{}
	}
	_ = json.Unmarshal(value, &out) // what is not read yet is asked for again
	return out
}

// finish waits for the run's end.
func (s site) finish(t *testing.T, conn *bus.Conn) {
	t.Helper()
	var last runstate.State
	defer func() {
		if t.Failed() {
			t.Logf("the run's last state: %+v", last)
		}
	}()
	eventually(t, "the run's end", 3*time.Minute, func() bool {
		if now := state(t.Context(), conn); now.Run != "" {
			last = now
		}
		if last.Paused {
			t.Fatalf("the run is paused: %s", last.Reason)
		}
		return last.Finished
	})
}

// outcome is what two courses of the same run must agree in.
type outcome struct {
	Ledger string
	// Mixture is its files by key.
	Mixture map[string]string
	// Decisions by subject.
	Decisions map[string]string
}

// outcome of the finished run; the ledger adds up, or the command fails and the test with it.
func (s site) outcome(t *testing.T, conn *bus.Conn) outcome {
	t.Helper()
	out := outcome{Mixture: map[string]string{}, Decisions: map[string]string{}}
	ledger, err := ratchet(t, s.config, "ledger", runName, "-o", "json")
	if err != nil {
		t.Fatalf("the ledger: %v\n%s", err, ledger)
	}
	out.Ledger = string(ledger)
	_, blobs := s.load(t)
	for object, err := range blobs.List(t.Context(), "mixtures/"+runName+"/") {
		if err != nil {
			t.Fatal(err)
		}
		data, err := blob.ReadAll(t.Context(), blobs, object.Key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		out.Mixture[object.Key] = string(data)
	}
	for m, err := range conn.Read(t.Context(), bus.Evals, bus.RunFilter(bus.Evals, runName)) {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := m.Event(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := ev.GetDecision(); d != nil {
			out.Decisions[m.Subject] += protojson.Format(d) // a second one would show
		}
	}
	if len(out.Mixture) < 2 || len(out.Decisions) == 0 {
		t.Fatalf("%d files of a mixture, %d decisions", len(out.Mixture), len(out.Decisions))
	}
	return out
}

// same compares an outcome with the undisturbed one's.
func same(t *testing.T, want, got outcome) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("the outcome differs from that of `ratchet up` undisturbed (-want +got):\n%s", diff)
	}
}

// eventually asks until the answer is yes.
func eventually(t testing.TB, what string, patience time.Duration, yes func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for %s in vain", patience, what)
		}
	}
}
