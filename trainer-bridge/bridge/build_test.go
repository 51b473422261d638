package bridge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/fault"
	"github.com/ratchet-rl/ratchet/internal/interchange"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

var buildTask = &pb.Task{Kind: "build", Work: &pb.Task_Build{Build: &pb.Build{}}}

// build builds the mixture of a generation and returns it with its bytes.
func (b *bench) build(generation int) mixtureRead {
	b.Helper()
	if err := b.builder().handle(b.Context(), b.task(generation, buildTask)); err != nil {
		b.Fatal(err)
	}
	return b.readMixture(generation)
}

// mixtureRead is a mixture as a trainer reads it.
type mixtureRead struct {
	event    *pb.Mixture
	manifest Manifest
	bytes    []byte // of all parts
	examples []interchange.Example
}

func (b *bench) readMixture(generation int) mixtureRead {
	b.Helper()
	events := b.training(generation, "own", "mixture")
	if len(events) != 1 {
		b.Fatalf("%d mixtures were published, want one", len(events))
	}
	m := mixtureRead{event: events[0].GetMixture()}
	key, err := b.blobs.Key(m.event.GetManifestUri())
	if err != nil {
		b.Fatal(err)
	}
	data, err := blob.Verified(b.Context(), b.blobs, key, m.event.GetManifestSha256())
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(data, &m.manifest); err != nil {
		b.Fatal(err)
	}
	for _, part := range m.manifest.Parts {
		data, err := blob.Verified(b.Context(), b.blobs, part.Key, part.SHA256)
		if err != nil {
			b.Fatal(err)
		}
		m.bytes = append(m.bytes, data...)
	}
	lines := bufio.NewScanner(bytes.NewReader(m.bytes))
	lines.Buffer(nil, maxManifest)
	for lines.Scan() {
		var example interchange.Example
		if err := json.Unmarshal(lines.Bytes(), &example); err != nil {
			b.Fatal(err)
		}
		m.examples = append(m.examples, example)
	}
	return m
}

func TestBuild(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	trajectories := b.few()
	b.record(trajectories...)
	b.record(fail(b.grow(1, "Mordor", 0, 1)))
	m := b.build(1)

	want := 0
	for _, trajectory := range trajectories {
		want += len(trajectory.GetSteps())
	}
	if searches := 0 + 1 + 1 + 2 + 2 + 3; want != 2*searches+4*len(trajectories) {
		t.Fatalf("the trajectories have %d steps: not 2n+4 each", want)
	}
	if len(m.examples) != want || m.event.GetExamples() != int64(want) || m.manifest.Changed != int64(want) {
		t.Errorf("%d examples, event %v: want %d, one for each step, all changed by the ranker", len(m.examples), m.event, want)
	}
	if m.event.GetTrajectories() != int64(len(trajectories)) || m.manifest.Policy != "base-0123456789" {
		t.Errorf("event %v and manifest %+v: want the completed trajectories only, and who grew them", m.event, m.manifest)
	}
	kinds := map[string]int64{}
	for _, example := range m.examples {
		kinds[example.Kind]++
		if !strings.Contains(example.Completion, "variant 2") || !strings.HasSuffix(example.Completion, "  "+agent.Stop) {
			t.Errorf("completion %q, want the ranker's choice up to the stop marker", example.Completion)
		}
	}
	if diff := cmp.Diff(kinds, m.manifest.ExamplesByKind); diff != "" {
		t.Errorf("examples by kind (-lines +manifest):\n%s", diff)
	}
	if !slices.IsSortedFunc(m.examples, byIdentity) {
		t.Error("examples are not in the order of identity")
	}
}

// byIdentity is the order of a mixture's lines: question, sample, step.
func byIdentity(a, b interchange.Example) int {
	return strings.Compare(a.ID, b.ID)
}

// TestLaterPromptsKeepTheDefault holds a mixture with the ranker's targets against one without: what the ranker
// would rather have seen is in no later prompt.
func TestLaterPromptsKeepTheDefault(t *testing.T) {
	t.Parallel()
	build := func(ranker string) mixtureRead {
		b := newBench(t)
		b.run.Strategy.Ranker = ranker
		b.record(b.few()...)
		return b.build(1)
	}
	ranked, unranked := build("llm"), build("perplexity") // of which there is no feedback here
	if len(ranked.examples) != len(unranked.examples) {
		t.Fatalf("%d and %d examples", len(ranked.examples), len(unranked.examples))
	}
	if got, want := unranked.manifest.Unranked, int64(len(unranked.examples)); got != want || unranked.manifest.Changed != 0 {
		t.Errorf("%d of %d examples count as unranked, %d as changed: want all and none", got, want, unranked.manifest.Changed)
	}
	for i, example := range ranked.examples {
		if example.Prompt != unranked.examples[i].Prompt {
			t.Fatalf("the ranker changed the prompt of step %d of %s", example.Step, example.ID)
		}
		if strings.Contains(example.Prompt, "variant 2") {
			t.Errorf("the ranker's choice is in a later prompt:\n%s", example.Prompt)
		}
		if !strings.Contains(unranked.examples[i].Completion, "variant 1") {
			t.Errorf("without a ranker the completion is %q, want the default", unranked.examples[i].Completion)
		}
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	t.Parallel()
	var first mixtureRead
	for round := range 3 {
		b := newBench(t)
		trajectories := b.few()
		random := rand.New(rand.NewPCG(1, uint64(round)))
		random.Shuffle(len(trajectories), func(i, j int) {
			trajectories[i], trajectories[j] = trajectories[j], trajectories[i]
		})
		b.record(trajectories...)
		m := b.build(1)
		if round == 0 {
			first = m
		}
		if m.event.GetManifestSha256() != first.event.GetManifestSha256() || !bytes.Equal(m.bytes, first.bytes) {
			t.Errorf("arrival order %d made another mixture", round)
		}
	}
}

// TestBuildAfterCrash fails every write of a build in turn, refused or done with its reply lost, and delivers the
// task again: the mixture is that of an undisturbed build, published once.
func TestBuildAfterCrash(t *testing.T) {
	t.Parallel()
	undisturbed := newBench(t)
	undisturbed.record(undisturbed.few()...)
	want := undisturbed.build(1)
	for _, k := range fault.Pair {
		b := newBench(t)
		b.record(b.few()...)
		store := &fault.Store{Store: b.blobs}
		b.blobs = store
		builder := b.builder()
		builder.partSize = len(want.bytes) / 3
		build := func() error { return builder.handle(t.Context(), b.task(1, buildTask)) }
		eachWriteFails(t, store, k, build)
		got := b.readMixture(1)
		if !bytes.Equal(got.bytes, want.bytes) || len(got.manifest.Parts) < 2 {
			t.Errorf("%d parts of other bytes than an undisturbed build's", len(got.manifest.Parts))
		}
		store.Arm("", 0, fault.Refused)
		if err := build(); err != nil {
			t.Errorf("delivered again, the task writes again: %v", err)
		}
		b.readMixture(1)
	}
}

func TestBuildConflict(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.blobs.PutIfAbsent(t.Context(), "mixtures/run/1/manifest.json", strings.NewReader("{}"), 2); err != nil {
		t.Fatal(err)
	}
	b.record(b.few()...)
	err := b.builder().handle(t.Context(), b.task(1, buildTask))
	if !bus.IsPermanent(err) || !strings.Contains(err.Error(), "conflict") {
		t.Errorf("error %v, want a permanent conflict", err)
	}
	if n := len(b.training(1, "own", "mixture")); n != 0 {
		t.Errorf("%d mixtures were published all the same", n)
	}
}

func TestEmptyMixture(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		record func(b *bench)
		want   string
	}{
		{"nothing grown", func(*bench) {}, "there are no trajectories"},
		{"all failed", func(b *bench) { b.record(fail(b.grow(1, "France", 0, 0))) }, "none of the 1 trajectories was completed"},
		{"all held out", func(b *bench) {
			b.record(b.grow(1, "France", 0, 0), b.grow(1, "France", 1, 1))
			b.holdOut("What is the capital of France?")
		}, "every example of 2 completed trajectories was left out: contaminated-exact 10"},
		{"none good enough", func(b *bench) {
			b.record(b.grow(1, "France", 0, 0))
			b.run.Strategy = config.Strategy{Name: "rest", Thresholds: []float64{0.5}, Ranker: "llm"}
		}, "not-selected 4"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			test.record(b)
			m := b.build(1)
			if m.event.GetExamples() != 0 || !strings.Contains(m.event.GetReason(), test.want) || len(m.manifest.Parts) != 0 {
				t.Errorf("mixture %v, want 0 examples because %q", m.event, test.want)
			}
		})
	}
}

// holdOut makes these the questions of the run's evaluation set.
func (b *bench) holdOut(questions ...string) {
	b.Helper()
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for _, text := range questions {
		if err := encoder.Encode(map[string]string{"token": bus.Token("eval-" + text), "id": text, "text": text}); err != nil {
			b.Fatal(err)
		}
	}
	ref, err := blob.PutContent(b.Context(), b.blobs, "questions", "jsonl", lines.Bytes())
	if err != nil {
		b.Fatal(err)
	}
	b.run.Evaluation.Set = config.Source{Name: "eval", URI: ref.URI}
}

func TestDecontamination(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.holdOut("The capital of Atlantis is what?", "What is the capital of FRANCE")
	b.record(b.few()...)
	m := b.build(1)
	for _, example := range m.examples {
		if !strings.Contains(example.ID, "narnia") {
			t.Errorf("%s is in the evaluation set and in the mixture", example.ID)
		}
	}
	want := map[string]int64{droppedExact: 4 + 6, droppedNear: 6 + 8}
	if diff := cmp.Diff(want, m.event.GetDropped()); diff != "" {
		t.Errorf("dropped examples (-want +got):\n%s", diff)
	}
}

// TestBrokenTrajectories: what calls itself completed but does not replay is left out, and nothing panics.
func TestBrokenTrajectories(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	short, unchosen, unreadable := b.grow(1, "Mordor", 0, 1), b.grow(1, "Mordor", 1, 1), b.grow(1, "Mordor", 2, 1)
	unchosen.Steps[2].Chosen = -1
	unreadable.Steps[1].Candidates[chosenByPolicy].Text = "ACTION_SELECTED = "
	short.Steps[1] = short.Steps[3]
	b.record(short, unchosen, unreadable, b.grow(1, "France", 0, 0))
	m := b.build(1)
	if m.event.GetExamples() != 4 || m.event.GetTrajectories() != 1 || m.event.GetDropped()[droppedInvalid] != 3*6 {
		t.Errorf("mixture %v, want the examples of the one whole trajectory", m.event)
	}
}

func TestStrategiesOnTheBus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		strategy config.Strategy
		samples  string // of France, in order of the mixture
		improves []int
	}{
		{config.Strategy{Name: "rest-react", PerQuestion: 1}, "0", []int{1}},
		{config.Strategy{Name: "raft"}, "0", []int{1}}, // equally ranked steps: the shorter trajectory
		{config.Strategy{Name: "rest", Thresholds: []float64{0, 0.5}}, "0 1", []int{1}},
	}
	for _, test := range tests {
		t.Run(test.strategy.Name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.run.Strategy = test.strategy
			b.run.Strategy.Ranker = "llm"
			b.record(b.grow(1, "France", 1, 1), b.grow(1, "France", 0, 0))
			m := b.build(1)
			var samples []string
			for _, example := range m.examples {
				samples = append(samples, example.ID[strings.LastIndexByte(example.ID, '.')+1:])
			}
			if got := strings.Join(slices.Compact(samples), " "); got != test.samples {
				t.Errorf("samples %q, want %q", got, test.samples)
			}
			var improves []int
			for _, part := range m.manifest.Parts {
				improves = append(improves, part.Improve)
			}
			if !slices.Equal(improves, test.improves) {
				t.Errorf("parts of improve steps %v, want %v", improves, test.improves)
			}
		})
	}
}

func TestAccumulate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run.Strategy.Accumulate = true
	b.record(b.grow(2, "France", 0, 0), b.grow(1, "France", 0, 0), b.grow(3, "France", 0, 0))
	generations := map[string]int{}
	for _, example := range b.build(2).examples {
		generations[strings.Split(example.ID, ".")[1]]++
	}
	if want := map[string]int{"1": 4, "2": 4}; !maps.Equal(generations, want) {
		t.Errorf("examples by generation %v, want %v", generations, want)
	}
}
