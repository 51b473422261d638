package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/interchange"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const told = `Question: Which city is the seat of Wone Works?
Thought 1: I need the seat.
Action 1: Search[seat of Wone Works]
Observation 1: [link_id=1] Wone Works: Wone Works is a company of Dally.
Thought 2: It is Dally.
Action 2: Finish[Dally]
`

// grown puts a trajectory of a run on the bus, with two candidates in each step, ranked against what went on.
func (i installation) grown(run string, sample int32) {
	i.t.Helper()
	for r, err := range interchange.Read(interchange.ReAct, "f", strings.NewReader(told)) {
		if err != nil {
			i.t.Fatal(err)
		}
		t := r.Trajectory
		t.Identity = &pb.Identity{Run: run, Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-7", Sample: sample}
		f := &pb.Feedback{Identity: t.GetIdentity(), Ranker: "llm", Outcome: pb.Outcome_OUTCOME_COMPLETED}
		for _, step := range t.GetSteps() {
			step.SelectedBy = "perplexity"
			step.Candidates = append(step.Candidates, &pb.Candidate{Text: "# better\n" + step.GetCandidates()[0].GetText()})
			f.Steps = append(f.Steps, &pb.StepRanking{Step: step.GetIndex(), Ranking: []int32{1, 0}, RankedBy: pb.RankedBy_RANKED_BY_RANKER})
		}
		i.publish(bus.TrajectorySubject(t.GetIdentity()), &pb.Event{Run: run, Generation: 1, Body: &pb.Event_Trajectory{Trajectory: t}})
		i.publish(bus.FeedbackSubject("llm", t.GetIdentity()), &pb.Event{Run: run, Generation: 1, Body: &pb.Event_Feedback{Feedback: f}})
	}
}

func (i installation) publish(subject string, ev *pb.Event) {
	i.t.Helper()
	if _, err := i.conn.Publish(i.t.Context(), subject, ev); err != nil {
		i.t.Fatal(err)
	}
}

// store puts an object into the blob store and returns its SHA-256.
func (i installation) store(blobs blob.Store, key, content string) string {
	i.t.Helper()
	if _, err := blobs.PutIfAbsent(i.t.Context(), key, strings.NewReader(content), int64(len(content))); err != nil {
		i.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// mixed puts a mixture of two parts on the bus. claimed is what the manifest says of the second part's hash; empty: the truth.
func (i installation) mixed(run string, generation int, claimed string) {
	i.t.Helper()
	cfg := config.Default().Blob
	for n, flag := range i.flags {
		if url, ok := strings.CutPrefix(flag, "blob.url="); ok && i.flags[n-1] == "--set" {
			cfg.URL = url
		}
	}
	blobs, err := blob.Open(i.t.Context(), cfg)
	if err != nil {
		i.t.Fatal(err)
	}
	var parts []string
	for n := range 2 {
		key := fmt.Sprintf("mixtures/%s/%d/part-%d.jsonl", run, generation, n)
		sha := i.store(blobs, key, fmt.Sprintf(`{"prompt":"p%d","completion":"c","id":"x","step":%d,"kind":"decision"}`+"\n", n, n))
		if n == 1 && claimed != "" {
			sha = claimed
		}
		parts = append(parts, fmt.Sprintf(`{"key":%q,"sha256":%q}`, key, sha))
	}
	manifest := fmt.Sprintf("mixtures/%s/%d/manifest.json", run, generation)
	sha := i.store(blobs, manifest, `{"parts":[`+strings.Join(parts, ",")+`]}`)
	i.publish(bus.TrainingSubject(run, generation, "own", "mixture"), &pb.Event{Run: run, Generation: int32(generation), Body: &pb.Event_Mixture{Mixture: &pb.Mixture{
		Id: sha[:16], ManifestUri: blobs.URI(manifest), ManifestSha256: sha, Examples: 2,
	}}})
}

func TestConvertARun(t *testing.T) {
	t.Parallel()
	i, dir := newInstallation(t), t.TempDir()
	i.ratchet("init", dir).wants(t, exitOK, "run.yaml")
	i.submit(filepath.Join(dir, "run.yaml"), "--name", "first").wants(t, exitOK, "first")
	i.ratchet("convert", "first", "--to", "react").wants(t, exitNotFound, "first has nothing to convert")
	i.ratchet("convert", "first", "--to", "messages").wants(t, exitNotFound, "run first has no mixture yet")
	i.ratchet("convert", "frist", "--to", "react").wants(t, exitNotFound, `no run "frist"`)
	for sample := range int32(3) {
		i.grown("first", 2-sample)
	}
	other := &pb.Identity{Run: "first", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-7"}
	i.publish(bus.FeedbackSubject("human", other), &pb.Event{Run: "first", Generation: 1, Body: &pb.Event_Feedback{Feedback: &pb.Feedback{Identity: other, Ranker: "human"}}})
	i.ratchet("convert", "first", "--to", "trajectories").wants(t, exitOK, `"ranker":"human"`)
	id := &pb.Identity{Run: "first", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_EVAL, Question: "heldout-1"}
	failed := &pb.Trajectory{Identity: id, Outcome: pb.Outcome_OUTCOME_FAILED, Failure: pb.FailureClass_FAILURE_CLASS_UNPARSABLE, Question: "q"}
	i.publish(bus.TrajectorySubject(id), &pb.Event{Run: "first", Generation: 1, Body: &pb.Event_Trajectory{Trajectory: failed}})

	o := i.ratchet("convert", "first", "--to", "react")
	if o.out != told+"\n"+told+"\n"+told {
		t.Errorf("got %s", o.out)
	}
	i.ratchet("convert", "first", "--to", "react", "--purpose", "any").wants(t, exitOK, "left out: 1 failed trajectories")
	i.ratchet("convert", "first", "--to", "verifiers", "--purpose", "eval").wants(t, exitOK, `"stop_condition":"agent_error"`)
	i.ratchet("convert", "first", "--to", "react", "--generation", "2").wants(t, exitNotFound, "nothing to convert")

	both := i.ratchet("convert", "first", "--to", "trajectories")
	ratchet(t.Context(), both.out, "convert", "-", "--to", "preference").wants(t, exitUsage, "say with --ranker whose word counts")

	pairs := filepath.Join(dir, "pairs.jsonl")
	i.ratchet("convert", "first", "--to", "preference", "-f", pairs).wants(t, exitOK, "preference  18 lines")
	i.ratchet("convert", "first", "--to", "preference", "-f", pairs).wants(t, exitRefused, "is there already")
	i.ratchet("convert", "first", "--to", "preference", "--ranker", "nobody").wants(t, exitOK, "left out: 18 steps that were not ranked")
	text, err := os.ReadFile(pairs)
	again := i.ratchet("convert", "first", "--to", "preference")
	if err != nil || again.out != string(text) || strings.Index(again.out, "pool-7.0") > strings.Index(again.out, "pool-7.1") {
		t.Errorf("%v: other bytes, or another order, the second time", err)
	}
	if few := i.ratchet("convert", "first", "--to", "preference", "--rendering", "few_shot"); len(few.out) < 2*len(text) {
		t.Error("few-shot prompts are no longer than bare ones")
	}

	i.mixed("first", 1, "")
	i.ratchet("convert", "first", "--to", "messages").wants(t, exitOK, `{"messages":[{"role":"user","content":"p1"},{"role":"assistant","content":"c"}],"id":"x","step":1,"kind":"decision"}`)
	i.ratchet("convert", "first", "--to", "messages", "--generation", "3").wants(t, exitNotFound, "has no mixture of generation 3")
	i.mixed("first", 2, strings.Repeat("0", 64))
	damaged := filepath.Join(dir, "damaged.jsonl")
	i.ratchet("convert", "first", "--to", "prompt-completion", "-f", damaged).wants(t, exitFailed, "part mixtures/first/2/part-1.jsonl: its SHA-256 is")
	i.ratchet("convert", "first", "--to", "prompt-completion", "--generation", "1", "-f", damaged).wants(t, exitOK, "2 lines")
	if left, err := filepath.Glob(filepath.Join(dir, ".export-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestConvertAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	convert := func(stdin string, args ...string) outcome {
		return ratchet(t.Context(), stdin, append([]string{"convert"}, args...)...)
	}
	react := file("others.react.txt", told)
	traces := convert("", react, "--to", "verifiers")
	traces.wants(t, exitOK, `"group":{"id":"others.0.own.grow.others-0"}`)
	back := convert(traces.out, "-", "--to", "react")
	if back.out != told {
		t.Errorf("got %s%s", back.out, back.err)
	}
	examples := convert("", react, "--to", "prompt-completion")
	examples.wants(t, exitOK, "left out: 3 steps that the imported text does not tell of")
	if n := strings.Count(examples.out, "\n"); n != 3 {
		t.Errorf("%d examples", n)
	}
	convert(examples.out, "-", "--to", "messages").wants(t, exitOK, `{"messages":[{"role":"user"`)
	convert("", react, "--to", "react", "--generation", "1").wants(t, exitUsage, "are of a run")
	convert("", "others", "--to", "react", "--skip").wants(t, exitUsage, "are of a run")
	convert(examples.out, "-", "--to", "react").wants(t, exitUsage, "one example is one step without its candidates")
	convert("", react, "--to", "preference").wants(t, exitOK, "left out: 3 steps that the imported text does not tell of")
	convert("", filepath.Join(dir, "none.jsonl"), "--to", "react").wants(t, exitNotFound, "open what to convert")
	convert("", "-", "--to", "react").wants(t, exitUsage, "standard input: the file is empty")
	convert("\n", "-", "--from", "react", "--to", "react").wants(t, exitNotFound, "has nothing to convert")
	convert("", react, "--to", "parquet").wants(t, exitUsage, "--to must be one of")

	spoiled := file("spoiled.txt", told+"\nQuestion: q\nThought 1: t\nAction 1: Lookup[x]\n\n"+told)
	convert("", spoiled, "--to", "react").wants(t, exitUsage, "spoiled.txt:10: the action \"Lookup\"")
	skipped := convert("", spoiled, "--to", "react", "--skip")
	skipped.wants(t, exitOK, "left out: 1 that cannot be read; the first: "+spoiled+":10")
	if skipped.out != told+"\n"+told {
		t.Errorf("got %s", skipped.out)
	}
	out := filepath.Join(dir, "out.jsonl")
	convert("", spoiled, "--to", "trajectories", "-f", out).wants(t, exitUsage, "mend the file, or add --skip")
	if _, err := os.Stat(out); err == nil {
		t.Error("half a file has the name of a whole one")
	}
}

// TestConvertInterrupted: an interrupted conversion leaves nothing behind.
func TestConvertInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	ratchet(ctx, told, "convert", "-", "--to", "verifiers", "-f", filepath.Join(dir, "out")).wants(t, exitInterrupted, "interrupted")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestConvertHostileTexts: what a terminal would obey is visible, and the same text comes back from it.
func TestConvertHostileTexts(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	e := interchange.NewEncoder(interchange.Trajectories, &b, interchange.Options{})
	for r, err := range interchange.Read(interchange.ReAct, "f", strings.NewReader(told)) {
		if err != nil {
			t.Fatal(err)
		}
		r.Trajectory.Question, r.Trajectory.Steps[1].Results[0].Snippet = hostileText, hostileText
		if err := e.Record(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []string{"trajectories", "verifiers", "react", "messages", "preference"} {
		o := ratchet(t.Context(), b.String(), "convert", "-", "--to", to)
		harmless(t, to, o.out+o.err)
		if to == "trajectories" && o.out != b.String() || to == "react" && !strings.Contains(o.out, "owned") {
			t.Errorf("%s: got %s", to, o.out)
		}
	}
	bad := ratchet(t.Context(), hostileText+"\n"+hostileText, "convert", "-", "--to", "react")
	harmless(t, "an error", bad.out+bad.err)
}
