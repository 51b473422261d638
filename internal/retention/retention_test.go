package retention_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/retention"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const grace = retention.LeastGrace

// site is a bus and a directory of blobs.
type site struct {
	t testing.TB
	retention.Pruner
	ctx context.Context
	dir string
}

func newSite(t testing.TB) *site {
	t.Helper()
	cfg, dir := devstack.TestConfig(devstack.TestNATS(t)), t.TempDir()
	blobs := devstack.TestBlobs(t, dir)
	conn := devstack.TestConnWith(t, cfg, blobs)
	if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	return &site{t: t, Pruner: retention.Pruner{Installation: archive.Installation{Bus: conn, Blobs: blobs}}, ctx: t.Context(), dir: dir}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) put(key, text string) {
	s.t.Helper()
	_, err := s.Blobs.PutIfAbsent(s.ctx, key, strings.NewReader(text), int64(len(text)))
	s.must(err)
}

// age makes everything in the store older than the grace.
func (s *site) age(keys ...string) {
	s.t.Helper()
	old := time.Now().Add(-grace - time.Minute)
	for _, key := range keys {
		s.must(os.Chtimes(filepath.Join(s.dir, filepath.FromSlash(key)), old, old))
	}
}

func (s *site) keys() (all []string) {
	s.t.Helper()
	for o, err := range s.Blobs.List(s.ctx, "") {
		s.must(err)
		all = append(all, o.Key)
	}
	return all
}

func (s *site) record(bucket, key string, value any) {
	s.t.Helper()
	text, err := runstate.Marshal(value)
	s.must(err)
	_, err = s.Bus.KV(bucket).Create(s.ctx, key, text)
	s.must(err)
}

func (s *site) publish(subject, id string, ev *pb.Event) {
	s.t.Helper()
	of, err := bus.ParseSubject(subject)
	s.must(err)
	ev.Id, ev.Run, ev.Generation = id, of.Run, int32(of.Generation)
	_, err = s.Bus.Publish(s.ctx, subject, ev)
	s.must(err)
}

// run makes a run with a large event, a dead letter about it, a mixture, a checkpoint and questions of its own.
func (s *site) run(name string, finished bool) {
	s.t.Helper()
	questions := strings.Repeat("0", 64-len(name)) + fmt.Sprintf("%x", name)
	questions = "questions/" + questions[len(questions)-64:] + ".jsonl"
	s.put(questions, name)
	s.record(runstate.Bucket, runstate.SpecKey(name), config.Run{Name: name, Questions: config.Source{URI: s.Blobs.URI(questions)}})
	id := &pb.Identity{Run: name, Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "q-1"}
	s.publish(bus.TrajectorySubject(id), "", &pb.Event{Body: &pb.Event_Trajectory{Trajectory: &pb.Trajectory{Identity: id, Answer: strings.Repeat(name, 300_000)}}})
	s.publish(bus.RunSubject(name, "entered"), "entered-"+name, &pb.Event{Body: &pb.Event_RunLog{RunLog: &pb.RunLog{}}})
	part := "mixtures/" + name + "/1/part-0.jsonl"
	s.put(part, name)
	s.put("mixtures/"+name+"/1/manifest.json", fmt.Sprintf(`{"parts":[{"key":%q}]}`, part))
	s.put("mixtures/"+name+"/1/part-orphan.jsonl", "a crashed assembly's")
	checkpoint := "checkpoints/" + name + "/1/own/c0ffee" + name
	s.put(checkpoint+"/files/w", name)
	s.put(checkpoint+"/checkpoint.json", `{"files":[{"name":"w"}]}`)
	s.publish(bus.TrainingSubject(name, 1, "own", "mixture"), "", &pb.Event{Body: &pb.Event_Mixture{Mixture: &pb.Mixture{Id: "m-" + name}}})
	s.publish(bus.TrainingSubject(name, 1, "own", "checkpoint"), "", &pb.Event{Body: &pb.Event_Checkpoint{Checkpoint: &pb.Checkpoint{Id: "c0ffee" + name, Job: "own-" + name}}})
	s.record("models", "promoted."+name, map[string]any{"run": name, "generation": 1})
	s.record(runstate.Bucket, runstate.Key(name), runstate.State{Run: name, Phase: "done", Finished: finished})
}

// holds says what there is of a run: messages, records, blobs.
func (s *site) holds(name string) (all []string) {
	s.t.Helper()
	for _, stream := range []string{bus.Tasks, bus.Steps, bus.Trajectories, bus.Feedback, bus.Verdicts, bus.Results, bus.Training, bus.Evals, bus.Runs, bus.Dead} {
		if empty, err := s.Bus.Empty(s.ctx, stream, bus.RunFilter(stream, name)); err != nil || !empty {
			all = append(all, stream)
		}
	}
	for _, bucket := range []string{runstate.Bucket, "models"} {
		keys, err := s.Bus.KV(bucket).Revisions(s.ctx)
		s.must(err)
		for key := range keys {
			if strings.Contains(key, name) {
				all = append(all, key)
			}
		}
	}
	for _, key := range s.keys() {
		if strings.Contains(key, "/"+name+"/") {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

func TestPrune(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run("gone", true)
	s.run("stays", true)
	s.run("going", false)
	if _, err := s.Look(s.ctx, "going"); !errors.Is(err, retention.ErrUnfinished) {
		t.Errorf("a run that goes on: %v", err)
	}
	if _, err := s.Look(s.ctx, "nobody"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("no run: %v", err)
	}
	before := s.holds("stays")
	plan, err := s.Look(s.ctx, "gone")
	s.must(err)
	if plan.Total() != 4 || plan.Blobs != 6 || plan.Promoted != 1 { // five of its folders, one large event
		t.Errorf("%+v", plan)
	}
	s.must(s.Prune(s.ctx, plan, "me"))
	if diff := cmp.Diff([]string{"gone.pruned"}, s.holds("gone")); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, s.holds("stays")); diff != "" {
		t.Errorf("the other run (-before +after):\n%s", diff)
	}
	if _, err := s.Look(s.ctx, "gone"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("pruned, and there: %v", err)
	}
}

// A checkpoint that another run's promotion or spec names stays, and is collected by nobody.
func TestPruneKeepsWhatOthersName(t *testing.T) {
	t.Parallel()
	for name, refer := range map[string]func(*site){
		"promotion": func(s *site) { s.record("models", "promoted.other", map[string]any{"checkpoint": "c0ffeegone"}) },
		"an earlier promotion": func(s *site) {
			s.record("models", "promoted.other", map[string]any{"checkpoint": "c0ffeegone"})
			_, revision, err := s.Bus.KV("models").Get(s.ctx, "promoted.other")
			s.must(err)
			_, err = s.Bus.KV("models").Update(s.ctx, "promoted.other", []byte("{}"), revision)
			s.must(err)
		},
		"spec": func(s *site) {
			s.record(runstate.Bucket, runstate.SpecKey("other"), config.Run{Name: "other", Targets: []config.Target{{Base: "/models/c0ffeegone"}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.run("gone", true)
			refer(s)
			plan, err := s.Look(s.ctx, "gone")
			s.must(err)
			if !slices.Equal(plan.Kept, []string{"c0ffeegone"}) {
				t.Errorf("kept %v", plan.Kept)
			}
			s.must(s.Prune(s.ctx, plan, "me"))
			s.age(s.keys()...)
			_, err = s.Collect(s.ctx, grace, false)
			s.must(err)
			folder := "checkpoints/gone/1/own/c0ffeegone/"
			if diff := cmp.Diff([]string{folder + "checkpoint.json", folder + "files/w"}, s.keys()); name != "spec" && diff != "" {
				t.Errorf("what is left (-want +got):\n%s", diff)
			}
		})
	}
}

// Killed after any of its writes, a prune that is done again ends as one that was not killed.
func TestPruneKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for after := 0; ; after++ {
		name := fmt.Sprint("gone-", after)
		s.run(name, true)
		plan, err := s.Look(s.ctx, name)
		s.must(err)
		over := s.PruneSome(s.ctx, plan, after)
		if plan, err = s.Look(s.ctx, name); over {
			if !errors.Is(err, bus.ErrNotFound) {
				t.Fatalf("pruned, and there: %v", err)
			}
			break
		}
		if err != nil {
			t.Fatalf("killed after %d writes, it cannot be done again: %v", after, err)
		}
		if _, _, err := s.Bus.KV(runstate.Bucket).Get(s.ctx, runstate.Key(name)); err != nil {
			t.Fatalf("killed after %d writes, it is not found by its age: %v", after, err)
		}
		s.must(s.Prune(s.ctx, plan, "me"))
		if diff := cmp.Diff([]string{name + ".pruned"}, s.holds(name)); diff != "" {
			t.Fatalf("killed after %d writes (-want +got):\n%s", after, diff)
		}
		s.remembers(name)
	}
	if keys := s.keys(); slices.ContainsFunc(keys, func(key string) bool { return !strings.HasPrefix(key, "questions/") }) {
		t.Fatalf("left %v", keys)
	}
}

// remembers checks what is kept of a run for the bridge and for the name.
func (s *site) remembers(name string) {
	s.t.Helper()
	text, _, err := s.Bus.KV(runstate.Bucket).Get(s.ctx, runstate.PrunedKey(name))
	s.must(err)
	var p runstate.Pruned
	s.must(json.Unmarshal(text, &p))
	if p.Spec == "" || !slices.Equal(p.Jobs, []string{"own-" + name}) || !slices.Equal(p.Checkpoints, []string{"c0ffee" + name}) || p.Messages != 4 {
		s.t.Fatalf("%s", text)
	}
}

// Whatever points at what: no blob that something points at is collected, and every old one that nothing points at is.
func TestCollect(t *testing.T) {
	t.Parallel()
	s, n := newSite(t), 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		want := map[string]bool{} // key: it stays
		for i := range rapid.IntRange(0, 6).Draw(r, "blobs") {
			s.blob(r, fmt.Sprintf("r%d-%d", n, i), want)
		}
		collected, err := s.Collect(s.ctx, grace, false)
		if err != nil {
			r.Fatal(err)
		}
		for key, stays := range want {
			if _, err := s.Blobs.Stat(s.ctx, key); (err == nil) != stays {
				r.Fatalf("%s: stays %t, but %v; collected %v", key, stays, err, collected.Keys)
			}
		}
	})
}

// behind is a store whose clock is behind this machine's.
type behind struct {
	blob.Store
	by time.Duration
}

func (b behind) Stat(ctx context.Context, key string) (blob.Object, error) {
	o, err := b.Store.Stat(ctx, key)
	o.Modified = o.Modified.Add(-b.by)
	return o, err
}

func (b behind) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		for o, err := range b.Store.List(ctx, prefix) {
			o.Modified = o.Modified.Add(-b.by)
			if !yield(o, err) {
				return
			}
		}
	}
}

// TestCollectByTheStoresClock: a clock of this machine that is weeks ahead makes no young blob old.
func TestCollectByTheStoresClock(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("events/young", "young")
	s.put("events/old", "old")
	s.age("events/old")
	s.Blobs = behind{s.Blobs, 30 * 24 * time.Hour}
	collected, err := s.Collect(s.ctx, grace, false)
	s.must(err)
	if want := []string{"events/old"}; !slices.Equal(collected.Keys, want) {
		t.Errorf("collected %q, want %q", collected.Keys, want)
	}
	if keys := s.keys(); !slices.Equal(keys, []string{"events/young"}) {
		t.Errorf("left %q", keys)
	}
}

// blob makes a blob that something may point at, and says whether it is to stay.
func (s *site) blob(r *rapid.T, name string, want map[string]bool) {
	key, pointed := "", rapid.Bool().Draw(r, "pointed at")
	switch rapid.SampledFrom([]string{"question", "part", "file", "claim", "letter", "unfinished", "foreign"}).Draw(r, "kind") {
	case "question":
		ref, err := blob.PutContent(s.ctx, s.Blobs, "questions", "jsonl", []byte(name))
		s.must(err)
		if key = ref.Key; pointed {
			s.record(runstate.Bucket, runstate.SpecKey(name), config.Run{Name: name, Evaluation: config.Evaluation{Set: config.Source{GoldURI: ref.URI}}})
			s.record(runstate.Bucket, runstate.Key(name), runstate.State{Run: name, Finished: true})
		}
	case "part":
		key = "mixtures/" + name + "/1/part-0.jsonl"
		s.put(key, name)
		if pointed {
			s.put("mixtures/"+name+"/1/manifest.json", fmt.Sprintf(`{"parts":[{"key":%q}]}`, key))
		}
	case "file":
		folder := "checkpoints/" + name + "/1/own/id"
		key = folder + "/files/a/w"
		s.put(key, name)
		if pointed {
			s.put(folder+"/checkpoint.json", `{"files":[{"name":"a/w"}]}`)
		}
	case "claim", "letter":
		ref, err := blob.PutContent(s.ctx, s.Blobs, "events", "pb", []byte(name))
		s.must(err)
		if key = ref.Key; pointed {
			s.must(s.Bus.Restore(s.ctx, claim(name, ref.URI, rapid.Bool().Draw(r, "in a dead letter"))))
		}
	case "unfinished":
		key, pointed = "mixtures/"+name+"/1/part-0.jsonl", true
		s.put(key, name)
		s.record(runstate.Bucket, runstate.SpecKey(name), config.Run{Name: name})
		s.record(runstate.Bucket, runstate.Key(name), runstate.State{Run: name})
	case "foreign":
		key, pointed = "backups/"+name, true
		s.put(key, name)
	}
	old := rapid.Bool().Draw(r, "old")
	if old {
		s.age(key)
	}
	want[key] = pointed || !old
}

func claim(name, uri string, inLetter bool) bus.Stored {
	ev := &pb.Event{Run: name, Claim: &pb.Claim{Uri: uri}}
	subject := bus.RunSubject(name, "entered")
	if inLetter {
		ev = &pb.Event{Run: name, Body: &pb.Event_DeadLetter{DeadLetter: &pb.DeadLetter{Payload: mustMarshal(ev)}}}
		subject = bus.DeadSubject("k", name)
	}
	return bus.Stored{Subject: subject, Header: map[string][]string{}, Data: mustMarshal(ev)}
}

// While blobs are collected all the time, a run is submitted and built again and again over the orphans of a crash that
// are older than the grace: nothing of it is ever missing.
func TestCollectBesideAnAssembly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, stop := context.WithCancel(s.ctx)
	over := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if _, err := s.Collect(s.ctx, grace, false); err != nil {
				over <- err
				return
			}
		}
		over <- nil
	}()
	wanted := map[string]bool{}
	for n := range 60 {
		name := fmt.Sprint("run-", n)
		part, questions := "mixtures/"+name+"/1/part-0.jsonl", "questions/"+strings.Repeat("0", 62)+fmt.Sprintf("%02x", n)+".jsonl"
		for _, key := range []string{part, questions} { // what a crash left
			s.put(key, name)
			if err := os.Chtimes(filepath.Join(s.dir, key), time.Time{}, time.Now().Add(-2*grace)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		s.put(questions, name)
		s.record(runstate.Bucket, runstate.SpecKey(name), config.Run{Name: name, Questions: config.Source{URI: s.Blobs.URI(questions)}})
		s.put(questions, name) // as submit makes sure
		s.record(runstate.Bucket, runstate.Key(name), runstate.State{Run: name})
		s.put(part, name)
		s.put("mixtures/"+name+"/1/manifest.json", fmt.Sprintf(`{"parts":[{"key":%q}]}`, part))
		wanted[part], wanted[questions] = true, true
	}
	stop()
	s.must(<-over)
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if _, err := s.Blobs.Stat(s.ctx, key); err != nil {
			t.Errorf("collected under its writer: %v", err)
		}
	}
}

func mustMarshal(ev *pb.Event) []byte {
	data, err := proto.Marshal(ev)
	if err != nil {
		panic(err)
	}
	return data
}
