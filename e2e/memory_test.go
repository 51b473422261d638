package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/dataset"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// crowd is how many questions the coordinator conducts in BenchmarkCoordinatorMemory.
var crowd = flag.Int("crowd", 100_000, "questions of the larger run of BenchmarkCoordinatorMemory")

// memory is what a process typically holds, in bytes: medians over its work.
type memory struct {
	live, resident float64 // the live heap after a collection, and all of it in RAM
}

// The coordinator's memory is the same for a thousand questions and for thirty times as many: the built program,
// conducting whole runs whose workers answer at once.
func TestCoordinatorMemory(t *testing.T) {
	long(t)
	few, many := conducted(t, thousands, 1_000), conducted(t, 1, 30_000)
	t.Logf("1,000 questions: %v; 30,000: %v", few, many)
	const allowed = 1.10
	if many.live > few.live*allowed || many.resident > few.resident*allowed {
		t.Errorf("30,000 questions take %v, 1,000 take %v; want at most %g times as much", many, few, allowed)
	}
}

// thousands is how many runs of a thousand questions follow each other in one coordinator, so that it works long enough
// to be looked at.
const thousands = 8

// BenchmarkCoordinatorMemory reports what the coordinator holds during runs of a thousand questions, and during one of
// very many.
func BenchmarkCoordinatorMemory(b *testing.B) {
	for _, c := range []struct{ runs, questions int }{{thousands, 1_000}, {1, *crowd}} {
		b.Run(fmt.Sprint(c.questions), func(b *testing.B) {
			var held memory
			for b.Loop() {
				held = conducted(b, c.runs, c.questions)
			}
			b.ReportMetric(held.live/(1<<20), "heap-MiB")
			b.ReportMetric(held.resident/(1<<20), "rss-MiB")
			b.ReportMetric(float64(c.runs*c.questions*b.N)/b.Elapsed().Seconds(), "questions/s")
		})
	}
}

func (m memory) String() string {
	return fmt.Sprintf("heap %.2f MiB, resident %.1f MiB", m.live/(1<<20), m.resident/(1<<20))
}

// hall is a stand-alone nats-server with a coordinator, whose workers are this test.
type hall struct {
	ctx         context.Context
	settings    string // the roles' configuration file
	metrics     string // address of the coordinator's
	conn        *bus.Conn
	blobs       blob.Store
	coordinator *process
}

// openHall starts both; more is more of the configuration.
func openHall(t testing.TB, ctx context.Context, more string) hall {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	h := hall{ctx: ctx, settings: filepath.Join(dir, "ratchet.yaml"), metrics: freeAddress(t)}
	nats := filepath.Join(dir, "nats.conf")
	write(t, nats, fmt.Sprintf("listen: %q\njetstream { store_dir: %q, max_file_store: 64G }\n", address, filepath.Join(dir, "nats")))
	write(t, h.settings, fmt.Sprintf("bus: {url: \"nats://%s\"}\nblob: {url: \"file://%s/blobs\"}\n%s", address, dir, more))
	startProgram(t, nil, filepath.Join(programs, "nats-server"), "--config", nats)
	cfg, _, err := config.Load(h.settings, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if h.blobs, err = blob.Open(ctx, cfg.Blob); err != nil {
		t.Fatal(err)
	}
	h.conn, err = bus.Connect(ctx, cfg.Bus, bus.Options{Role: "e2e", Log: slog.New(slog.DiscardHandler), Blobs: h.blobs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.conn.Close)
	h.coordinator = start(t, h.settings, "coordinator", "--set", "http.listen="+h.metrics)
	return h
}

// work serves the kinds until the returned function is called, which waits.
func (h hall) work(t testing.TB, w atOnce) (stop func()) {
	ctx, cancel := context.WithCancel(h.ctx)
	kinds := []string{"rollout", "build", "evaluate"}
	ended := make(chan error, len(kinds))
	for _, kind := range kinds {
		go func() { ended <- h.conn.Consume(ctx, bus.Loop{Source: bus.TaskSource(kind), Slots: 64}, w.do) }()
	}
	return func() {
		cancel()
		for range kinds {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}

// conducted runs a coordinator over runs of n questions, one after the other.
func conducted(t testing.TB, runs, n int) memory {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(runs*n)*4*time.Millisecond)
	defer cancel()
	h := openHall(t, ctx, "")
	conn, metrics := h.conn, h.metrics
	stop := h.work(t, atOnce{conn: conn, feedback: true})
	run := crowdRun(t, ctx, h.blobs, n)
	var live, resident []float64
	for i := range runs {
		run.Name = fmt.Sprintf("%s-%d", runName, i)
		give(t, ctx, conn, run)
		s := runstate.State{}
		eventually(t, "the run's end", time.Minute+time.Duration(n)*4*time.Millisecond, func() bool {
			s = stateOf(ctx, conn, run.Name)
			if s.Phase == "grow" {
				live = append(live, gauge(metrics, "go_gc_heap_live_bytes"))
				resident = append(resident, gauge(metrics, "process_resident_memory_bytes"))
			}
			return s.Finished
		})
		if want := int64(n + 1); s.Usage.Calls != want { // one of the evaluation
			t.Errorf("%d trajectories were counted, want %d: %+v", s.Usage.Calls, want, s)
		}
	}
	stop()
	if code := h.coordinator.stop(syscall.SIGTERM, 20*time.Second); code != 0 {
		t.Errorf("the coordinator exits with %d", code)
	}
	return memory{median(live), median(resident)}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// Where the ranker stands still, trajectories pile up in their stream: neither it nor the coordinator holds more for
// five thousand of them than for a hundred.
func TestSlowRanker(t *testing.T) {
	long(t)
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then it is noticed that the client goes
		<-r.Context().Done()
	}))
	t.Cleanup(hung.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	h := openHall(t, ctx, "rank: {rankers: [llm], slots: 2, drain: 100ms}\n")
	metrics := freeAddress(t)
	start(t, h.settings, "rank-worker", "--set", "http.listen="+metrics)
	thoughts := strings.Repeat("Which one of all of them is it? ", 180)
	stop := h.work(t, atOnce{conn: h.conn, steps: []*pb.Step{{Kind: pb.StepKind_STEP_KIND_DECISION, Candidates: []*pb.Candidate{
		{Text: `ActionWrapper(thoughts="` + thoughts + `", action=Search(query='a'))`},
		{Text: `ActionWrapper(thoughts="` + thoughts + `", action=Search(query='b'))`},
	}}}})
	defer stop()
	waiting := func(n int) (coordinator, rank float64) {
		run := crowdRun(t, ctx, h.blobs, n)
		run.Name, run.Rankers = fmt.Sprintf("%s-%d", runName, n), []string{"llm"}
		run.Strategy.Ranker, run.Judge = "llm", config.Model{Endpoint: hung.URL + "/v1", Model: "judge", API: "chat", MaxTokens: 64}
		give(t, ctx, h.conn, run)
		s := runstate.State{}
		defer func() {
			if t.Failed() {
				t.Logf("the run's last state: %+v", s)
			}
		}()
		eventually(t, "the trajectories to wait", time.Minute, func() bool {
			s = stateOf(ctx, h.conn, run.Name)
			return s.Phase == "rank" && len(s.Progress) > 0 && s.Progress[len(s.Progress)-1].Expected == int64(n)
		})
		return gauge(h.metrics, "process_resident_memory_bytes"), gauge(metrics, "process_resident_memory_bytes")
	}
	coordinator, rank := waiting(100)
	coordinatorAfter, rankAfter := waiting(5_000)
	depth, err := h.conn.Depth(ctx, bus.RankSource("llm"))
	if err != nil {
		t.Fatal(err)
	}
	const mib = 1 << 20
	t.Logf("%d wait, %d are held; resident: coordinator %.1f to %.1f MiB, rank worker %.1f to %.1f MiB",
		depth.Waiting, depth.InFlight, coordinator/mib, coordinatorAfter/mib, rank/mib, rankAfter/mib)
	if depth.Waiting < 5_000 || depth.InFlight > 2 {
		t.Errorf("%d trajectories wait and %d are held, want 5,000 or more and at most 2", depth.Waiting, depth.InFlight)
	}
	if rank == 0 || rankAfter > rank+8*mib || coordinatorAfter > coordinator+8*mib {
		t.Errorf("60 MB of trajectories wait; the coordinator has grown by %.1f MiB, the rank worker by %.1f, want at most 8", (coordinatorAfter-coordinator)/mib, (rankAfter-rank)/mib)
	}
}

// crowdRun is a run that grows once on n questions and trains nothing.
func crowdRun(t testing.TB, ctx context.Context, blobs blob.Store, n int) config.Run {
	t.Helper()
	questions := func(name string, n int) config.Source {
		file, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		lines := bufio.NewWriter(file)
		write := dataset.NewLines[dataset.Question](lines).Write
		for i := range n {
			token := fmt.Sprintf("%s-%d", name, i)
			if err := write(dataset.Question{Token: token, ID: token, Text: "What is written on page " + token + "?"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := lines.Flush(); err != nil {
			t.Fatal(err)
		}
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("questions/%s-%d.jsonl", name, n)
		if _, err := blobs.PutIfAbsent(ctx, key, file, info.Size()); err != nil {
			t.Fatal(err)
		}
		return config.Source{Name: name, Path: name, URI: blobs.URI(key), Count: n}
	}
	hour := config.Duration(time.Hour)
	model := config.Model{Endpoint: "http://127.0.0.1:1/v1", Model: "m", API: "completions", MaxTokens: 64}
	return config.Run{
		Seed: 1, Questions: questions("pool", n),
		Policy:     config.Policy{Model: model, Rendering: "bare", Candidates: 1, Decoding: config.DecodingFree},
		Evaluation: config.Evaluation{Set: questions("held", 1), Repetitions: 1, Judge: "exact"},
		Search:     config.SearchTool{Kind: "bm25", Corpus: "none", Results: 3, Budget: 1},
		Rankers:    []string{"perplexity"}, Strategy: config.Strategy{Name: "rest-react", Ranker: "perplexity"},
		Grow: config.Grow{Samples: []int{1}}, Deploy: config.Deploy{Deployer: "static", Endpoint: model.Endpoint, Model: "m", Rendering: "bare"},
		Limits:      config.Limits{Call: hour, Search: hour, Trajectory: hour},
		Generations: 1, Plateau: 1, Gate: config.Gate{Rule: "bootstrap", Level: 0.05, Resamples: 100},
	}
}

// give submits the run as soon as a coordinator answers.
func give(t testing.TB, ctx context.Context, conn *bus.Conn, run config.Run) {
	t.Helper()
	body, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	var said error
	defer func() {
		if t.Failed() {
			t.Log(said)
		}
	}()
	eventually(t, "a coordinator to take the run", time.Minute, func() bool {
		_, said = conn.Request(ctx, "submit", body)
		return said == nil
	})
}

// gauge reads a metric of a role; 0 while it cannot be had.
func gauge(address, name string) float64 {
	reply, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return 0
	}
	defer reply.Body.Close()
	for lines := bufio.NewScanner(reply.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+"{"); ok {
			value, _ := strconv.ParseFloat(text[strings.LastIndexByte(text, ' ')+1:], 64)
			return value
		}
	}
	return 0
}

// atOnce does every task without work.
type atOnce struct {
	conn *bus.Conn
	// feedback is given with each trajectory; steps are its steps.
	feedback bool
	steps    []*pb.Step
}

func (a atOnce) do(ctx context.Context, d *bus.Delivery) error {
	task, run, generation := d.Event.GetTask(), d.Event.GetRun(), int(d.Event.GetGeneration())
	publish := func(subject string, ev *pb.Event) error {
		ev.Run, ev.Generation = run, int32(generation)
		_, err := a.conn.Publish(ctx, subject, ev)
		return err
	}
	switch work := task.GetWork().(type) {
	case *pb.Task_Shard:
		for _, q := range work.Shard.GetQuestions() {
			id := &pb.Identity{
				Run: run, Generation: int32(generation), Target: work.Shard.GetTarget(), Purpose: work.Shard.GetPurpose(),
				Question: q.GetToken(), Sample: work.Shard.GetFirstSample(),
			}
			trajectory := &pb.Trajectory{Identity: id, Outcome: pb.Outcome_OUTCOME_COMPLETED, Usage: &pb.Usage{Calls: 1}, Steps: a.steps}
			if err := publish(bus.TrajectorySubject(id), &pb.Event{Body: &pb.Event_Trajectory{Trajectory: trajectory}}); err != nil {
				return err
			}
			if id.GetPurpose() == pb.Purpose_PURPOSE_GROW && !a.feedback {
				continue
			}
			subject, ev := bus.FeedbackSubject("perplexity", id), &pb.Event{Body: &pb.Event_Feedback{Feedback: &pb.Feedback{Identity: id}}}
			if id.GetPurpose() == pb.Purpose_PURPOSE_EVAL {
				subject, ev = bus.VerdictSubject("exact", id), &pb.Event{Body: &pb.Event_Verdict{Verdict: &pb.Verdict{Identity: id}}}
			}
			if err := publish(subject, ev); err != nil {
				return err
			}
		}
		return nil
	case *pb.Task_Build:
		return publish(bus.TrainingSubject(run, generation, "own", "mixture"), &pb.Event{Body: &pb.Event_Mixture{Mixture: &pb.Mixture{Id: "m", Examples: 1}}})
	case *pb.Task_Evaluate:
		report := &pb.Report{Target: "own", Look: work.Evaluate.GetLook()}
		if err := publish(bus.EvalSubject(run, generation, "own", "report-1"), &pb.Event{Body: &pb.Event_Report{Report: report}}); err != nil {
			return err
		}
		decision := &pb.Decision{Target: "own", Look: work.Evaluate.GetLook(), Ruling: pb.Ruling_RULING_BASELINE}
		return publish(bus.EvalSubject(run, generation, "own", "decision-1"), &pb.Event{Body: &pb.Event_Decision{Decision: decision}})
	}
	return fmt.Errorf("unexpected task %v", task)
}
