package plan

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// generated is a store that makes question files as they are read; a key is a number of questions.
type generated struct{ blob.Store }

func (generated) Key(uri string) (string, error) { return uri, nil }

func (generated) Get(_ context.Context, key string) (io.ReadCloser, error) {
	var n int
	if _, err := fmt.Sscan(key, &n); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		for i := range n {
			if _, err := fmt.Fprintf(w, "{\"token\":\"q-%d\",\"id\":\"%d\",\"text\":\"Who wrote book %d?\"}\n", i, i, i); err != nil {
				return // the reader has closed
			}
		}
		w.Close()
	}()
	return r, nil
}

// Reading the questions to publish takes the same memory for any number of them. Not parallel: it measures the heap.
func TestSlicesTakeFlatMemory(t *testing.T) { //nolint:paralleltest // see above
	const allowed = 256 << 10
	few, many := liveAtEnd(t, 1_000), liveAtEnd(t, 100_000)
	if many > few+allowed {
		t.Errorf("live heap: %d bytes at the end of 100,000 questions, %d of 1,000", many, few)
	}
}

// What the projection keeps does not grow with the questions: a dead letter costs what its comment says, a report the
// same for any number of questions. Not parallel: it measures the heap.
func TestProjectionTakesFlatMemory(t *testing.T) { //nolint:paralleltest // see above
	const letters, perLetter = 100_000, 48
	p := newProjection(nil, "r")
	before := liveHeap()
	for i := range letters {
		p.lay("rank-llm", &pb.Identity{
			Run: "r", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: fmt.Sprintf("pool-of-questions-%d", i),
		})
	}
	if grown := liveHeap() - before; grown > letters*perLetter {
		t.Errorf("a dead letter takes %d bytes, want at most %d", grown/letters, perLetter)
	}
	if n := p.tally(group{1, "own", pb.Purpose_PURPOSE_GROW}).mute["rank-llm"]; n != letters {
		t.Errorf("got %d dead letters, want %d", n, letters)
	}
	runtime.KeepAlive(p)

	event := &pb.Event{Run: "r", Generation: 1, Body: &pb.Event_Report{Report: &pb.Report{Target: "own", Look: 1, Answer: &pb.Score{Mean: 0.5}}}}
	for i := range 1000 {
		event.GetReport().ByQuestion = append(event.GetReport().ByQuestion, &pb.QuestionScore{Question: fmt.Sprint(i)})
	}
	data, err := proto.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.noteEval(t.Context(), &bus.Message{Subject: bus.EvalSubject("r", 1, "own", "report-1"), Data: data}); err != nil {
		t.Fatal(err)
	}
	if r := p.report(looked{trained{1, "own"}, 1}); r.GetAnswer().GetMean() != 0.5 || len(r.GetByQuestion()) > 0 {
		t.Errorf("the report is kept with %d questions, want its scores alone: %v", len(r.GetByQuestion()), r.GetAnswer())
	}
}

// A header may say anything; only the classes of the schema are counted apart.
func TestUnknownClassesCountAsOne(t *testing.T) {
	t.Parallel()
	for class, want := range map[string]string{"endpoint": "endpoint", "context_overflow": "context_overflow", "made-up": "other", "": "other"} {
		if got := knownClass(class); got != want {
			t.Errorf("class %q: got %q, want %q", class, got, want)
		}
	}
}

func liveHeap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// liveAtEnd is the live heap, in bytes, at the last of n questions.
func liveAtEnd(t *testing.T, n int) (live uint64) {
	t.Helper()
	c := &conductor{blobs: generated{}, settings: config.Coordinator{Shard: 4}}
	last, seen := n/4-1, 0
	for index, questions := range c.slices(t.Context(), config.Source{URI: fmt.Sprint(n), Count: n}, 0) {
		if questions.err != nil {
			t.Fatal(questions.err)
		}
		seen += len(questions.list)
		if index == last {
			live = liveHeap()
		}
	}
	if seen != n {
		t.Errorf("got %d questions, want %d", seen, n)
	}
	return live
}

func TestSlicesGoOnFromCursor(t *testing.T) {
	t.Parallel()
	c := &conductor{blobs: generated{}, settings: config.Coordinator{Shard: 4}}
	got := ""
	for index, questions := range c.slices(t.Context(), config.Source{URI: "10"}, 1) {
		got += fmt.Sprintf("%d:%d ", index, len(questions.list))
	}
	if want := "1:4 2:2 "; got != want {
		t.Errorf("slices from 1 of 10 questions: got %s, want %s", got, want)
	}
}
