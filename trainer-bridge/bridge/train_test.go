package bridge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/fault"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// putMixture stores a mixture of one part.
func (b *bench) putMixture(generation int, lines string) *pb.Mixture {
	b.Helper()
	w := newPartWriter(b.Context(), b.blobs, mixtureKey(b.run.Name, generation), partSize)
	if err := w.write([]byte(lines), int64(strings.Count(lines, "\n"))); err != nil {
		b.Fatal(err)
	}
	parts, err := w.close()
	if err != nil {
		b.Fatal(err)
	}
	mixture, err := b.builder().seal(b.Context(), &Manifest{Version: 1, Run: b.run.Name, Generation: generation, Parts: parts, Examples: 1})
	if err != nil {
		b.Fatal(err)
	}
	return mixture
}

// trainedBy sets the command of the target own to a shell script: $1 is {out}, $2 {manifest}, then extra.
func (b *bench) trainedBy(script string, extra ...string) {
	b.run.Targets[0].Command = append([]string{"/bin/sh", "-c", script, "trainer", "{out}", "{manifest}"}, extra...)
}

// copyParts trains by copying the mixture's parts, which lie beside its manifest.
const copyParts = `echo '{"done":1,"total":1,"loss":0.5,"message":"copied"}'; cat "$(dirname "$2")"/part-* >"$1/model"; echo start >>"$3"`

func TestTrain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	starts := filepath.Join(t.TempDir(), "starts")
	b.trainedBy(copyParts, starts)
	lines := `{"prompt":"p","completion":"c"}` + "\n"
	mixture := b.putMixture(1, lines)
	task := b.task(1, &pb.Task{Kind: "train", Work: &pb.Task_Train{Train: &pb.Train{Target: "own", Mixture: mixture}}})
	for range 2 { // delivered twice
		if err := b.trainer().handle(t.Context(), task); err != nil {
			t.Fatal(err)
		}
	}
	events := b.training(1, "own", "checkpoint")
	if len(events) != 1 {
		t.Fatalf("%d checkpoints were published, want one", len(events))
	}
	c := events[0].GetCheckpoint()
	if c.GetTarget() != "own" || c.GetBase() != "own" || c.GetMixture() != mixture.GetId() || c.GetBytes() != int64(len(lines)) {
		t.Errorf("unexpected checkpoint %v", c)
	}
	if got, err := os.ReadFile(filepath.Join(b.shelf().folder(c.GetId()), "model")); err != nil || string(got) != lines {
		t.Errorf("the shelf has %q (%v), want the trained model %q", got, err, lines)
	}
	fetchAndCompare(t, b.blobs, c)
	jobs := b.training(1, "own", "job")
	if last := jobs[len(jobs)-1].GetJob(); last.GetState() != pb.JobState_JOB_STATE_SUCCEEDED || last.GetLoss() != 0.5 || last.GetName() != c.GetJob() {
		t.Errorf("the last job event is %v, want success and the last progress", last)
	}
	if n := countLines(t, starts); n != 1 {
		t.Errorf("the trainer was started %d times, want once", n)
	}
}

// TestTrainAfterCrash loses the checkpoint's publication in every possible place: each write of the upload fails,
// refused or with a lost reply. The job is not run again for it.
func TestTrainAfterCrash(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Pair {
		b := newBench(t)
		starts := filepath.Join(t.TempDir(), "starts")
		b.trainedBy(copyParts, starts)
		mixture := b.putMixture(1, "{}\n")
		store := &fault.Store{Store: b.blobs}
		b.blobs = store
		task := b.task(1, &pb.Task{Kind: "train", Work: &pb.Task_Train{Train: &pb.Train{Target: "own", Mixture: mixture}}})
		eachWriteFails(t, store, k, func() error { return b.trainer().handle(t.Context(), task) })
		if n := countLines(t, starts); n != 1 {
			t.Errorf("the trainer was started %d times, want once", n)
		}
		if n := len(b.training(1, "own", "checkpoint")); n != 1 {
			t.Errorf("%d checkpoints were published, want one", n)
		}
	}
}

// eachWriteFails does something again and again, and is how many writes it has: the first one fails, then the second,
// until there are no more.
func eachWriteFails(t *testing.T, store *fault.Store, k fault.Kind, do func() error) (writes int) {
	t.Helper()
	for n := 0; ; n++ {
		store.Arm("", n, k)
		err := do()
		if err == nil && n > 0 {
			return n
		}
		if !errors.Is(err, fault.ErrInjected) {
			t.Fatalf("write %d: error %v, want the fault", n, err)
		}
	}
}

func TestTrainFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.trainedBy(`echo out of memory >&2; exit 9`)
	task := b.task(1, &pb.Task{Kind: "train", Work: &pb.Task_Train{Train: &pb.Train{Target: "own", Mixture: b.putMixture(1, "{}\n")}}})
	err := b.trainer().handle(t.Context(), task)
	if err == nil || bus.IsPermanent(err) || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("first attempt: error %v, want one to retry, with the end of stderr", err)
	}
	task.Delivered = maxAttempts
	if err := b.trainer().handle(t.Context(), task); !bus.IsPermanent(err) {
		t.Errorf("attempt %d: error %v, want a permanent one", maxAttempts, err)
	}
	jobs := b.training(1, "own", "job")
	if len(jobs) != 2 || jobs[1].GetJob().GetState() != pb.JobState_JOB_STATE_FAILED || !strings.Contains(jobs[1].GetJob().GetMessage(), "code 9") {
		t.Errorf("job events %v, want a failure for each attempt", jobs)
	}
}

func TestTrainRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mixture := b.putMixture(1, "{}\n")
	tests := []struct{ name, target, driver, script, want string }{
		{"unknown target", "huge", "command", "", `no target "huge"`},
		{"unknown driver", "own", "magic", "", "expected command"},
		{"nothing left in out", "own", "command", "exit 0", "left no file"},
	}
	for _, test := range tests {
		b.run.Targets[0].Driver = test.driver
		b.trainedBy(test.script)
		task := b.task(1, &pb.Task{Kind: "train", Work: &pb.Task_Train{Train: &pb.Train{Target: test.target, Mixture: mixture}}})
		err := b.trainer().handle(t.Context(), task)
		if !bus.IsPermanent(err) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want a permanent one with %q", test.name, err, test.want)
		}
	}
}

func TestTasksWithoutWork(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.trainer().handle(t.Context(), b.task(1, &pb.Task{Kind: "train"})); !bus.IsPermanent(err) {
		t.Errorf("train: error %v, want a permanent one", err)
	}
	if err := b.serving().handle(t.Context(), b.task(1, &pb.Task{Kind: "deploy"})); !bus.IsPermanent(err) {
		t.Errorf("deploy: error %v, want a permanent one", err)
	}
}

func TestFetchMixtureVerifies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mixture := b.putMixture(1, "{}\n")
	sum := sha256.Sum256([]byte("another manifest"))
	mixture.ManifestSha256 = hex.EncodeToString(sum[:])
	mixture.Id = mixture.ManifestSha256[:idLength]
	if _, err := fetchMixture(t.Context(), b.blobs, b.directory, mixture); err == nil || !strings.Contains(err.Error(), "expected "+mixture.GetManifestSha256()) {
		t.Errorf("error %v, want one about the manifest's hash", err)
	}
}

// TestJobName: what could change the model changes the name, nothing else does.
func TestJobName(t *testing.T) {
	t.Parallel()
	name := func(change func(m *pb.Mixture, target *config.Target, seed *uint64)) string {
		mixture, seed := &pb.Mixture{ManifestSha256: "abc"}, uint64(7)
		target := config.Target{Name: "own", Base: "base", Driver: "command", Command: []string{"train", "{out}"}, Candidates: 4}
		change(mixture, &target, &seed)
		j, err := newJob(mixture, target, seed, 1, "anywhere/manifest.json")
		if err != nil {
			t.Fatal(err)
		}
		return j.name
	}
	same := name(func(*pb.Mixture, *config.Target, *uint64) {})
	if got := name(func(_ *pb.Mixture, target *config.Target, _ *uint64) { target.Candidates = 16 }); got != same {
		t.Error("the number of candidates changes the job")
	}
	seen := map[string]bool{same: true}
	for i, change := range []func(*pb.Mixture, *config.Target, *uint64){
		func(m *pb.Mixture, _ *config.Target, _ *uint64) { m.ManifestSha256 = "abd" },
		func(_ *pb.Mixture, target *config.Target, _ *uint64) { target.Name = "small" },
		func(_ *pb.Mixture, target *config.Target, _ *uint64) { target.Base = "other" },
		func(_ *pb.Mixture, target *config.Target, _ *uint64) { target.Command = []string{"train", "{base}"} },
		func(_ *pb.Mixture, _ *config.Target, seed *uint64) { *seed = 8 },
	} {
		got := name(change)
		if seen[got] {
			t.Errorf("change %d does not change the job's name", i)
		}
		seen[got] = true
	}
}

// TestPartWriter: parts are closed when full, hold whole batches, and are named by their content.
func TestPartWriter(t *testing.T) {
	t.Parallel()
	store := openBlobs(t)
	w := newPartWriter(t.Context(), store, "mixtures/run/1", 10)
	for _, batch := range []string{"123456\n", "123456\n", "", "1\n"} {
		if err := w.write([]byte(batch), 1); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := w.close()
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) != 2 || parts[0].Size != 14 || parts[1].Size != 2 || parts[0].Examples != 2 {
		t.Fatalf("parts %+v, want one of 14 bytes and one of 2", parts)
	}
	for _, part := range parts {
		body, err := store.Get(t.Context(), part.Key)
		if err != nil {
			t.Fatal(err)
		}
		var data bytes.Buffer
		if _, err := data.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		body.Close()
		sum := sha256.Sum256(data.Bytes())
		if got := hex.EncodeToString(sum[:]); got != part.SHA256 || !strings.Contains(part.Key, got[:16]) {
			t.Errorf("part %s has the hash %s, want its name and manifest to say so", part.Key, got)
		}
	}
}
