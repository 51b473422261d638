package search_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/search"
)

// paragraphs of the benchmark's corpus: RATCHET_BENCH_PARAGRAPHS.
func paragraphs(b *testing.B) int {
	text := os.Getenv("RATCHET_BENCH_PARAGRAPHS")
	if text == "" {
		return 20_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkCorpus indexes a corpus made up of a seed, as large as Wikipedia's words are many, and searches in it:
//
//	RATCHET_BENCH_PARAGRAPHS=1000000 go test ./internal/search -run '^$' -bench Corpus -benchtime 1x -timeout 2h
//
// It reports the build (s, peak MB of memory, MB of index for each MB of corpus) and the queries (ms, at the median, the
// 99th percentile, and with eight at once), each of seven words for three results.
func BenchmarkCorpus(b *testing.B) {
	n := paragraphs(b)
	path, sum, size := writeCorpus(b, n)
	tool := config.SearchTool{Kind: "bm25", URI: "file:///" + sum + ".jsonl"}
	get := func(context.Context, string) (io.ReadCloser, error) { return os.Open(path) }
	for b.Loop() {
		cfg := settings(b, "off")
		begin, before := time.Now(), peak(b)
		s, err := search.Open(b.Context(), cfg, tool, get)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "build-s")
		b.ReportMetric(float64(before)/1e6, "before-MB")
		b.ReportMetric(float64(peak(b))/1e6, "build-peak-MB")
		b.ReportMetric(float64(size)/1e6, "corpus-MB")
		b.ReportMetric(float64(sizeOf(b, cfg.Directory))/1e6, "index-MB")
		begin = time.Now()
		again, err := search.Open(b.Context(), cfg, tool, get)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(begin).Microseconds())/1e3, "reopen-ms")
		_ = again.Close()
		took := query(b, s, 200, 1)
		b.ReportMetric(took[len(took)/2], "query-ms")
		b.ReportMetric(took[len(took)*99/100], "query-p99-ms")
		took = query(b, s, 400, 8)
		b.ReportMetric(took[len(took)/2], "query-of-8-ms")
		b.ReportMetric(float64(peak(b))/1e6, "peak-MB")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// words draws words as English does: by Zipf's law, from a million.
type words struct{ zipf *rand.Zipf }

func newWords(seed uint64) words {
	return words{rand.NewZipf(rand.New(rand.NewPCG(seed, 1)), 1.07, 2.7, 1_000_000)}
}

// word is made of syllables, so that its length and its stem are like a word's.
func (w words) word() string {
	syllables := [...]string{"ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "xu", "za"}
	n := w.zipf.Uint64()
	var b strings.Builder
	for first := true; first || n > 0; first = false {
		b.WriteString(syllables[n%16])
		n /= 16
	}
	return b.String()
}

func (w words) text(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = w.word()
	}
	return strings.Join(all, " ")
}

// writeCorpus writes n paragraphs of about 100 words.
func writeCorpus(b *testing.B, n int) (path, sum string, size int64) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "corpus.jsonl")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	hash := sha256.New()
	out, w := bufio.NewWriter(io.MultiWriter(file, hash)), newWords(7)
	for i := range n {
		if _, err := fmt.Fprintf(out, "{\"id\":\"%d\",\"title\":%q,\"contents\":%q}\n", i, w.text(3), w.text(100)); err != nil {
			b.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return path, hex.EncodeToString(hash.Sum(nil)), info.Size()
}

// query makes n queries, some at once, and returns how long each took in ms, sorted.
func query(b *testing.B, s search.Searcher, n, atOnce int) []float64 {
	b.Helper()
	w := newWords(11)
	queries, took := make(chan string, n), make(chan float64, n)
	for range n {
		queries <- w.text(7)
	}
	close(queries)
	for range atOnce {
		go func() {
			for q := range queries {
				begin := time.Now()
				if _, err := s.Search(b.Context(), q, 3); err != nil {
					b.Error(err)
				}
				took <- float64(time.Since(begin).Microseconds()) / 1e3
			}
		}()
	}
	var all []float64
	for range n {
		all = append(all, <-took)
	}
	slices.Sort(all)
	return all
}

// peak is the most memory that this process has had so far (Linux: in KiB).
func peak(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Maxrss << 10
}

func sizeOf(b *testing.B, directory string) (total int64) {
	b.Helper()
	err := filepath.WalkDir(directory, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}
