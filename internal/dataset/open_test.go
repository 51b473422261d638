package dataset

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	const content = `{"question":"a?"}`
	file := filepath.Join(t.TempDir(), "pool.jsonl")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/pool.jsonl" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, content)
	}))
	defer server.Close()
	s3 := func(_ context.Context, uri string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(strings.ReplaceAll(content, "a?", uri))), nil
	}
	for path, text := range map[string]string{
		file:                               "a?",
		"file://" + file:                   "a?",
		server.URL + "/pool.jsonl":         "a?",
		server.URL + "/pool.jsonl?raw=1.2": "a?",
		"s3://bucket/pool.jsonl":           "s3://bucket/pool.jsonl",
	} {
		pool, _, err := loadPool(t.Context(), Open(s3), config.Source{Path: path})
		if err != nil || pool[0].Text != text || !strings.HasPrefix(pool[0].ID, "pool_") {
			t.Errorf("%s: %+v, error %v", path, pool, err)
		}
	}
	for path, want := range map[string]string{
		file + ".none":           "no such file",
		server.URL + "/none":     "404 Not Found",
		"http://127.0.0.1:1/x":   "refused",
		"s3://bucket/pool.jsonl": "there is no S3 here",
		"":                       "no such file",
	} {
		_, _, err := loadPool(t.Context(), Open(nil), config.Source{Path: path})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "fix: check path") {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
}

// A web server's answer that never ends is stopped by the limits, too.
func TestEndlessURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"question":"`)
		_, _ = io.Copy(w, endless{})
	}))
	defer server.Close()
	_, _, err := loadPool(t.Context(), Open(nil), config.Source{Path: server.URL + "/pool.jsonl"})
	if err == nil || !strings.Contains(err.Error(), "a row is larger than") {
		t.Errorf("%v, want a limit's error", err)
	}
}

// A small file that decompresses without end is stopped.
func TestBombs(t *testing.T) {
	t.Parallel()
	long := `{"question":"` + strings.Repeat("a", 3<<20) + `"}`
	for name, c := range map[string]struct {
		format          format
		content         io.Reader
		maxRow, maxFile int64
	}{
		"a row":    {objectRows, strings.NewReader(long), 1 << 20, 1 << 30},
		"the file": {objectRows, strings.NewReader(long), 1 << 30, 1 << 20},
		"A row":    {tableRows(','), io.MultiReader(strings.NewReader("question\n\""), endless{}), 1 << 20, 1 << 30},
		"The file": {parquetRows, endless{}, 1 << 20, 4 << 20},
	} {
		limit := newLimitedReader(t.Context(), c.content, c.maxRow, c.maxFile)
		for _, err := range c.format("bomb", bufio.NewReader(limit), limit) {
			if err == nil || !strings.Contains(err.Error(), strings.ToLower(name)+" is larger than") {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
}

// Files that are small, or have no end, and would be read into many times their size: each is stopped by its own
// limit, with an error that says which, long before the memory is used up.
func TestMemoryBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 100 MB")
	}
	const most = 1 << 30 // bytes in use
	for name, c := range map[string]struct {
		content string
		repeat  string // without end
		says    string
	}{
		"a line":            {`{"question":"`, "a", "a row is larger than 32 MiB"},
		"a second line":     {"{\"question\":\"q\"}\n{\"question\":\"", "a", "a row is larger than 16 MiB"},
		"empty lines":       {`{"question":"q"}`, "\n", "a row has more than 4194304 lines"},
		"an array of lines": {`[{"question":"q"},`, " \n", "a row has more than 4194304 lines"},
		"nesting":           {`{"question":`, "[", "exceeded max depth"},
		"empty objects":     {`{"data":[`, "{},", "a row is larger than 32 MiB"},
		"a cell":            {"question\n\"", "a\n", "a row is larger than 16 MiB"},
		"columns":           {"question", ",a", "a row is larger than 16 MiB"},
		"zeros":             {"", "\x00", "no text in UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			var used peak
			stop := used.watch()
			_, _, err := loadPool(t.Context(), func(context.Context, string) (io.ReadCloser, error) {
				return compressed(c.content, c.repeat), nil
			}, config.Source{Path: "bomb.gz"})
			stop()
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want it to say %q", err, c.says)
			}
			if used.bytes > most {
				t.Errorf("%d MiB in use", used.bytes>>20)
			}
		})
	}
}

// compressed is a text and then another again and again, gzipped.
func compressed(begin, again string) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		z := gzip.NewWriter(w)
		_, err := io.WriteString(z, begin)
		for block := []byte(strings.Repeat(again, 32<<10)); err == nil; {
			_, err = z.Write(block)
		}
		w.CloseWithError(err)
	}()
	return r
}

// peak is the most that the heap held.
type peak struct{ bytes uint64 }

func (p *peak) watch() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	go func() {
		defer close(done)
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			metrics.Read(sample)
			p.bytes = max(p.bytes, sample[0].Value.Uint64())
			select {
			case <-quit:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(quit); <-done }
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// fuzzed loads content both ways and checks what must hold of any set that is accepted.
func fuzzed(t *testing.T, path, content string) {
	src := config.Source{Path: path}
	pool, _, err := loadPool(t.Context(), memory(content), src)
	if err == nil {
		checkQuestions(t, pool)
	}
	questions, gold, _, err := loadEvaluation(t.Context(), memory(content), src)
	if err != nil {
		return
	}
	checkQuestions(t, questions)
	for i, g := range gold {
		if g.Token != questions[i].Token || len(g.Answers) == 0 {
			t.Errorf("gold %d is %+v", i, g)
		}
	}
}

func checkQuestions(t *testing.T, questions []Question) {
	tokens := map[seen]struct{}{}
	for _, q := range questions {
		if !add(tokens, q.Token) || q.Text == "" || len(q.Text) > maxText || q.ID == "" {
			t.Errorf("question %+v", q)
		}
		for _, part := range strings.Split(q.Token, "-") {
			if part != "" && !config.IsToken(part) {
				t.Errorf("token %q", q.Token)
			}
		}
	}
	var b strings.Builder
	lines := NewLines[Question](&b)
	for _, q := range questions {
		if err := lines.Write(q); err != nil {
			t.Fatal(err)
		}
	}
	i := 0
	for q, err := range ReadQuestions(strings.NewReader(b.String())) {
		if err != nil || q != questions[i] {
			t.Fatal(fmt.Errorf("question %d %+v became %+v, error %w", i, questions[i], q, err))
		}
		i++
	}
}

func FuzzJSON(f *testing.F) {
	for _, c := range forms {
		f.Add(c.content)
	}
	f.Add(`[{"question":"a"},]`)
	f.Fuzz(func(t *testing.T, content string) { fuzzed(t, "set.json", content) })
}

func FuzzCSV(f *testing.F) {
	f.Add("question,answer\na,b\n")
	f.Add("\ufeffid;question\n1;\"a\n;b\"\n")
	f.Add("id\tquestion\n1\t\"a\n")
	f.Fuzz(func(t *testing.T, content string) { fuzzed(t, "set.csv", content) })
}
