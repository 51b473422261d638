package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const run = "r"

var limits = archive.Limits{Bytes: 1 << 30}

// site is a bus and a directory of blobs.
type site struct {
	t testing.TB
	archive.Installation
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
	return &site{t: t, Installation: archive.Installation{Bus: conn, Blobs: blobs}, dir: dir}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) ctx() context.Context { return s.t.Context() }

func (s *site) publish(subject, id string, ev *pb.Event) {
	s.t.Helper()
	subj, err := bus.ParseSubject(subject)
	s.must(err)
	ev.Id, ev.Run, ev.Generation = id, subj.Run, int32(subj.Generation)
	_, err = s.Bus.Publish(s.ctx(), subject, ev)
	s.must(err)
}

// put stores content under its hash.
func (s *site) put(folder, ext, text string) blob.Ref {
	s.t.Helper()
	ref, err := blob.PutContent(s.ctx(), s.Blobs, folder, ext, []byte(text))
	s.must(err)
	return ref
}

// putAt stores content under a key and returns its hash.
func (s *site) putAt(key, text string) string {
	s.t.Helper()
	_, err := s.Blobs.PutIfAbsent(s.ctx(), key, strings.NewReader(text), int64(len(text)))
	s.must(err)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (s *site) record(bucket, key string, value any) {
	s.t.Helper()
	text, err := runstate.Marshal(value)
	s.must(err)
	_, err = s.Bus.KV(bucket).Create(s.ctx(), key, text)
	s.must(err)
}

// spec is a run's whose questions, answers and corpus lie in the store.
func (s *site) spec(name string) config.Run {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "run.yaml")
	s.must(os.WriteFile(file, []byte(`
name: `+name+`
questions: {path: pool.jsonl}
evaluation: {set: {path: held.jsonl}, repetitions: 1, judge: exact}
search: {corpus: corpus.jsonl}
policy: {endpoint: "http://127.0.0.1:1/v1", model: m}
judge: {endpoint: "http://127.0.0.1:1/v1", model: j}
rankers: [perplexity]
targets: [{name: own, base: b, command: ["train", "{out}"]}]
`), 0o600))
	spec, err := config.LoadRun(file)
	s.must(err)
	spec.Questions.URI, spec.Questions.Count = s.put("questions", "jsonl", "{\"id\":\"q\"}\n").URI, 1
	spec.Evaluation.Set.URI = s.put("questions", "jsonl", "{\"id\":\"h\"}\n").URI
	spec.Evaluation.Set.GoldURI, spec.Evaluation.Set.Count = s.put("gold", "jsonl", "{\"a\":1}\n").URI, 1
	spec.Search.URI = s.put("corpora", "jsonl", "{\"contents\":\"words & <tags>\"}\n").URI
	return spec
}

func identity(name string, purpose pb.Purpose, n int) *pb.Identity {
	return &pb.Identity{Run: name, Generation: 1, Target: "own", Purpose: purpose, Question: fmt.Sprintf("q-%d", n)}
}

// begin submits a run that has got so far: something in every stream, and in every place of the blob store.
func (s *site) begin(name string, trajectories int) {
	s.t.Helper()
	s.record(runstate.Bucket, runstate.SpecKey(name), s.spec(name))
	for n := range 2 { // a line that was told twice, long after each other
		s.publish(bus.RunSubject(name, "entered"), fmt.Sprint("entered-", name, n), &pb.Event{Body: &pb.Event_RunLog{RunLog: &pb.RunLog{What: "entered", Expected: 3}}})
	}
	for n := range trajectories {
		id := identity(name, pb.Purpose_PURPOSE_GROW, n)
		journal, _, err := s.Bus.OpenJournal(s.ctx(), id)
		s.must(err)
		for i := range int32(2) {
			s.must(journal.Append(s.ctx(), &pb.Step{Index: i, Candidates: []*pb.Candidate{{Text: fmt.Sprint("step ", n, i)}}}))
		}
		answer := "short"
		if n == 0 {
			answer = strings.Repeat(name+" long ", 40_000) // a claim
		}
		t := &pb.Trajectory{Identity: id, Outcome: pb.Outcome_OUTCOME_COMPLETED, Answer: answer, Usage: &pb.Usage{Calls: 2}}
		s.publish(bus.TrajectorySubject(id), "", &pb.Event{Body: &pb.Event_Trajectory{Trajectory: t}})
		f := &pb.Feedback{Identity: id, Ranker: "perplexity", Outcome: pb.Outcome_OUTCOME_COMPLETED}
		s.publish(bus.FeedbackSubject("perplexity", id), "", &pb.Event{Body: &pb.Event_Feedback{Feedback: f}})
		v := &pb.Verdict{Identity: identity(name, pb.Purpose_PURPOSE_EVAL, n), Judge: "exact", Outcome: pb.Outcome_OUTCOME_COMPLETED}
		s.publish(bus.VerdictSubject("exact", v.GetIdentity()), "", &pb.Event{Body: &pb.Event_Verdict{Verdict: v}})
	}
	s.trained(name)
	s.died(name)
}

// trained adds a mixture, a checkpoint, a report, a task that carries both, and a plug-in's result in JSON.
func (s *site) trained(name string) {
	s.t.Helper()
	part := "mixtures/" + name + "/1/part-00000-0123456789abcdef.jsonl"
	index, _ := json.Marshal(map[string]any{"parts": []any{map[string]any{"key": part, "sha256": s.putAt(part, name+" examples\n")}}})
	manifest := "mixtures/" + name + "/1/manifest.json"
	m := &pb.Mixture{
		Id: "m-" + name, ManifestUri: s.Blobs.URI(manifest), ManifestSha256: s.putAt(manifest, string(index)),
		ExamplesByKind: map[string]int64{"decision": 3, "answer": 2, "relevance": 1, "grounding": 1},
	}
	s.publish(bus.TrainingSubject(name, 1, "own", "mixture"), "", &pb.Event{Body: &pb.Event_Mixture{Mixture: m}})
	for n := range 2 {
		s.publish(bus.TrainingSubject(name, 1, "own", "job"), fmt.Sprint("job-", name, n), &pb.Event{Body: &pb.Event_Job{Job: &pb.Job{Target: "own", Name: "own-" + name, Done: int64(n)}}})
	}
	id := "c0ffee-" + name
	folder := "checkpoints/" + name + "/1/own/" + id
	files, _ := json.Marshal(map[string]any{"files": []any{map[string]any{"name": "a/weights.bin", "sha256": s.putAt(folder+"/files/a/weights.bin", name+strings.Repeat("w", 100_000))}}})
	c := &pb.Checkpoint{Id: id, Target: "own", Uri: s.Blobs.URI(folder + "/checkpoint.json"), Sha256: s.putAt(folder+"/checkpoint.json", string(files)), Job: "own-" + name}
	s.publish(bus.TrainingSubject(name, 1, "own", "checkpoint"), "", &pb.Event{Body: &pb.Event_Checkpoint{Checkpoint: c}})
	s.publish(bus.EvalSubject(name, 1, "own", "report-1"), "", &pb.Event{Body: &pb.Event_Report{Report: &pb.Report{Target: "own", Failures: map[string]int64{"a": 1, "b": 2}}}})
	s.must(s.Bus.PublishTask(s.ctx(), name, 1, &pb.Task{Id: "t", Kind: "train", Work: &pb.Task_Train{Train: &pb.Train{Target: "own", Mixture: m}}}))
	text, err := protojson.Marshal(&pb.Event{Id: "result", Run: name, Body: &pb.Event_Result{Result: &pb.Result{Task: "x", Kind: "shout"}}})
	s.must(err)
	s.must(s.Bus.Restore(s.ctx(), bus.Stored{
		Subject: bus.ResultSubject("shout", name, 0, "x"), Header: map[string][]string{"Content-Type": {"application/json"}}, Data: text,
	}))
	for n := range 3 {
		value, _ := json.Marshal(map[string]any{"run": name, "generation": n})
		kv, key := s.Bus.KV("models"), "promoted."+name
		_, last, err := kv.Get(s.ctx(), key)
		if err != nil {
			_, err = kv.Create(s.ctx(), key, value)
		} else {
			_, err = kv.Update(s.ctx(), key, value, last)
		}
		s.must(err)
	}
}

// died adds dead letters: about a message that is a claim, and about bytes that nobody can read.
func (s *site) died(name string) {
	s.t.Helper()
	id := identity(name, pb.Purpose_PURPOSE_GROW, 0)
	m, err := s.Bus.Last(s.ctx(), bus.Trajectories, bus.TrajectorySubject(id))
	s.must(err)
	for n, payload := range [][]byte{[]byte("\xff\xff"), m.Data, []byte("{")} {
		letter := &pb.DeadLetter{Kind: "rank-x", Subject: m.Subject, Payload: payload, Identities: []*pb.Identity{id}}
		s.publish(bus.DeadSubject("rank-x", name), fmt.Sprint("dead-", name, n), &pb.Event{Body: &pb.Event_DeadLetter{DeadLetter: letter}})
	}
}

// state writes a run's record; seen says how many of its dead letters were forgiven.
func (s *site) state(name string, finished bool, seen int) {
	s.t.Helper()
	state := runstate.State{Run: name, Phase: "grow", Generation: 1, Finished: finished, Reason: "why <&>", Updated: time.Unix(1e9, 0).UTC()}
	for m, err := range s.Bus.Read(s.ctx(), bus.Dead, bus.RunFilter(bus.Dead, name)) {
		s.must(err)
		if seen > 0 {
			state.DeadSeen = m.Seq
			seen--
		}
	}
	s.record(runstate.Bucket, runstate.Key(name), state)
	s.record(runstate.Bucket, runstate.ControlKey(name), runstate.Control{Want: runstate.WantRun, Serial: 3})
}

// export packs the run.
func (s *site) export(name string) []byte {
	s.t.Helper()
	var file bytes.Buffer
	m, err := s.Export(s.ctx(), name, &file)
	s.must(err)
	s.t.Logf("%s: %d bytes, unpacked %d, %v messages, %d blobs", name, file.Len(), m.Bytes, m.Messages, m.Blobs)
	return file.Bytes()
}

// load verifies and imports.
func (s *site) load(file []byte) (existing bool, err error) {
	c, err := archive.Verify(s.ctx(), bytes.NewReader(file), limits)
	if err != nil {
		return false, err
	}
	return s.Import(s.ctx(), bytes.NewReader(file), c, limits)
}

// wipe removes everything of a run, as a prune does.
func (s *site) wipe(name string) {
	s.t.Helper()
	for _, stream := range []string{bus.Tasks, bus.Steps, bus.Trajectories, bus.Feedback, bus.Verdicts, bus.Results, bus.Training, bus.Evals, bus.Runs, bus.Dead} {
		s.must(s.Bus.Purge(s.ctx(), stream, bus.RunFilter(stream, name)))
	}
	for _, key := range []string{runstate.SpecKey(name), runstate.Key(name), runstate.ControlKey(name)} {
		s.must(s.Bus.KV(runstate.Bucket).Erase(s.ctx(), key))
	}
	s.must(s.Bus.KV("models").Erase(s.ctx(), "promoted."+name))
	for o, err := range s.Blobs.List(s.ctx(), "") {
		s.must(err)
		s.must(s.Blobs.Delete(s.ctx(), o.Key))
	}
}
