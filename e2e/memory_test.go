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
var crowd = flag.Int("crowd", 1_000_000, "questions of the larger run of BenchmarkCoordinatorMemory")

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

// conducted runs a coordinator over runs of n questions, one after the other.
func conducted(t testing.TB, runs, n int) memory {
	t.Helper()
	dir, address, metrics := t.TempDir(), freeAddress(t), freeAddress(t)
	settings, nats := filepath.Join(dir, "ratchet.yaml"), filepath.Join(dir, "nats.conf")
	write(t, nats, fmt.Sprintf("listen: %q\njetstream { store_dir: %q }\n", address, filepath.Join(dir, "nats")))
	write(t, settings, fmt.Sprintf("bus: {url: \"nats://%s\"}\nblob: {url: \"file://%s/blobs\"}\nhttp: {listen: %q}\n", address, dir, metrics))
	server := startProgram(t, nil, filepath.Join(programs, "nats-server"), "--config", nats)
	defer server.kill()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(runs*n)*4*time.Millisecond)
	defer cancel()
	cfg, _, err := config.Load(settings, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(ctx, cfg.Blob)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := bus.Connect(ctx, cfg.Bus, bus.Options{Role: "e2e", Log: slog.New(slog.DiscardHandler), Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	coordinator := start(t, settings, "coordinator")
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 3)
	for _, kind := range []string{"rollout", "build", "evaluate"} {
		go func() {
			ended <- conn.Consume(working, bus.Loop{Source: bus.TaskSource(kind), Slots: 64}, atOnce{conn}.do)
		}()
	}
	run := crowdRun(t, ctx, blobs, n)
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
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if code := coordinator.stop(syscall.SIGTERM, 20*time.Second); code != 0 {
		t.Errorf("the coordinator exits with %d", code)
	}
	return memory{median(live), median(resident)}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
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
		key := "questions/" + name + ".jsonl"
		if _, err := blobs.PutIfAbsent(ctx, key, file, info.Size()); err != nil {
			t.Fatal(err)
		}
		return config.Source{Name: name, Path: name, URI: blobs.URI(key), Count: n}
	}
	hour := config.Duration(time.Hour)
	model := config.Model{Endpoint: "http://127.0.0.1:1/v1", Model: "m", API: "completions", MaxTokens: 64}
	return config.Run{
		Seed: 1, Questions: questions("pool", n),
		Policy:     config.Policy{Model: model, Rendering: "bare", Candidates: 1},
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
type atOnce struct{ conn *bus.Conn }

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
			trajectory := &pb.Trajectory{Identity: id, Outcome: pb.Outcome_OUTCOME_COMPLETED, Usage: &pb.Usage{Calls: 1}}
			if err := publish(bus.TrajectorySubject(id), &pb.Event{Body: &pb.Event_Trajectory{Trajectory: trajectory}}); err != nil {
				return err
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
