package dataset

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/config"
)

func TestLinesRoundTrip(t *testing.T) {
	t.Parallel()
	questions := []Question{{"s-1", "1", "<a> & \"b\"?\n"}, {"s-x", "x/y", "日本?"}}
	gold := []Gold{{"s-1", []string{"a", "b\n"}}, {"s-x", []string{"c"}}}
	var q, g bytes.Buffer
	for i := range questions {
		if err := errors.Join(NewLines[Question](&q).Write(questions[i]), NewLines[Gold](&g).Write(gold[i])); err != nil {
			t.Fatal(err)
		}
	}
	const want = `{"token":"s-1","id":"1","text":"<a> & \"b\"?\n"}` + "\n"
	if line, _ := bytes.NewBuffer(q.Bytes()).ReadString('\n'); line != want {
		t.Errorf("line %q, want %q", line, want)
	}
	var gotQ []Question
	for one, err := range ReadQuestions(&q) {
		if err != nil {
			t.Fatal(err)
		}
		gotQ = append(gotQ, one)
	}
	var gotG []Gold
	for one, err := range ReadGold(&g) {
		if err != nil {
			t.Fatal(err)
		}
		gotG = append(gotG, one)
	}
	if !reflect.DeepEqual(gotQ, questions) || !reflect.DeepEqual(gotG, gold) {
		t.Errorf("got %+v and %+v", gotQ, gotG)
	}
}

func TestReadQuestionsRefuses(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"answers":  `{"token":"s-1","id":"1","text":"a?","answers":["x"]}`,
		"gold":     `{"token":"s-1","answers":["x"]}`,
		"no token": `{"id":"1","text":"a?"}`,
		"wildcard": `{"token":"s-*","id":"1","text":"a?"}`,
		"the rest": `{"token":">","id":"1","text":"a?"}`,
		"subject":  `{"token":"a.b","id":"1","text":"a?"}`,
		"path":     `{"token":"../x","id":"1","text":"a?"}`,
		"too long": `{"token":"` + strings.Repeat("a", 129) + `","id":"1","text":"a?"}`,
		"no text":  `{"token":"s-1","id":"1"}`,
		"no JSON":  `token`,
		"cut off":  `{"token":"s-1"`,
	} {
		var last error
		n := 0
		for _, err := range ReadQuestions(strings.NewReader(`{"token":"s-0","id":"0","text":"q"}` + "\n" + content + "\n" + content)) {
			n++
			last = err
		}
		if n != 2 || last == nil || !strings.Contains(last.Error(), "line 2") {
			t.Errorf("%s: %d results, last error %v; want one that names line 2", name, n, last)
		}
	}
}

// A million questions pass through without being held.
func TestReadQuestionsNeedsLittleMemory(t *testing.T) {
	const n = 1_000_000
	r, w := io.Pipe()
	go func() {
		for i := 0; i < n; i += 1000 {
			var b bytes.Buffer
			for j := i; j < i+1000; j++ {
				fmt.Fprintf(&b, "{\"token\":\"s-%d\",\"id\":\"%d\",\"text\":\"number?\"}\n", j, j)
			}
			w.Write(b.Bytes())
		}
		w.Close()
	}()
	seen := 0
	var peak uint64
	for q, err := range ReadQuestions(r) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen%250_000 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		_ = q
	}
	if seen != n || peak > 32<<20 {
		t.Errorf("%d questions, %d MiB in use; want %d in at most 32 MiB", seen, peak>>20, n)
	}
}

// bytesPerQuestion is what loading holds of a question, whatever its length.
const bytesPerQuestion = 120

// Loading holds hashes, not questions. Not parallel: it measures the heap.
func TestLoadHoldsNoQuestions(t *testing.T) { //nolint:paralleltest // see above
	const n = 30_000
	if live := liveAtEnd(t, n, 200); live > n*bytesPerQuestion+1<<20 {
		t.Errorf("loading %d questions takes %d bytes each, want at most %d", n, live/n, bytesPerQuestion)
	}
}

// BenchmarkLoadPool reports the live heap at the last question.
func BenchmarkLoadPool(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var live int64
			for b.Loop() {
				live = liveAtEnd(b, n, 80)
			}
			b.ReportMetric(float64(live)/(1<<20), "heap-MiB")
			b.ReportMetric(float64(live)/float64(n), "heap-B/question")
		})
	}
}

// liveAtEnd is by how much the live heap has grown at the last of n questions of a length.
func liveAtEnd(t testing.TB, n, length int) (grown int64) {
	t.Helper()
	before, seen := liveHeap(), 0
	open := func(context.Context, string) (io.ReadCloser, error) { return generated(n, length), nil }
	_, err := LoadPool(t.Context(), open, config.Source{Path: "pool.jsonl"}, func(Question) error {
		if seen++; seen == n {
			grown = liveHeap() - before
		}
		return nil
	})
	if err != nil || seen != n {
		t.Fatalf("%d questions, error %v; want %d", seen, err, n)
	}
	return grown
}

// generated is a file of n questions that is made while it is read.
func generated(n, length int) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		lines, text := bufio.NewWriter(w), strings.Repeat("x", length)
		for i := range n {
			fmt.Fprintf(lines, "{\"id\":%d,\"question\":\"%d %s?\"}\n", i, i, text)
		}
		lines.Flush()
		w.Close()
	}()
	return r
}

func liveHeap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
