package bridge

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
)

// BenchmarkMixture assembles a mixture out of a bus and compares its rate with plain puts of the same bytes, in
// parts of the same size, to a store of the same kind: a directory, or the S3 server that RATCHET_BLOB_URL and
// RATCHET_BLOB_ENDPOINT name. The ratio is the figure of the design.
func BenchmarkMixture(b *testing.B) {
	const questions = 1000
	text := strings.Repeat("A sentence as long as a model's are. ", 10)
	bench := newBench(b)
	for i := range questions {
		model := &script{searches: 2 + i%2, padding: text}
		bench.record(bench.growBy(model, library{text}, 1, fmt.Sprintf("country %d", i), 0))
	}
	var assembled, put time.Duration
	var size int64
	for b.Loop() {
		bench.blobs = openBenchBlobs(b)
		started := time.Now()
		builder := bench.builder()
		builder.partSize = 4 << 20 // several parts out of a small generation
		a, err := builder.newAssembly(b.Context(), bench.run, 1)
		if err != nil {
			b.Fatal(err)
		}
		manifest, err := a.assemble(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		assembled += time.Since(started)
		size = manifest.bytes()
		put += plainPuts(b, bench.blobs, manifest)
	}
	seconds := assembled.Seconds() / float64(b.N)
	b.ReportMetric(float64(size)/1e6/seconds, "MB/s")
	b.ReportMetric(questions/seconds, "trajectories/s")
	b.ReportMetric(put.Seconds()/assembled.Seconds(), "of-plain-puts")
}

// openBenchBlobs is an empty store of the configured kind.
func openBenchBlobs(b *testing.B) blob.Store {
	b.Helper()
	cfg, _, err := config.Load("", os.Environ(), nil)
	if err != nil {
		b.Fatal(err)
	}
	if !strings.HasPrefix(cfg.Blob.URL, "s3://") {
		return openBlobs(b)
	}
	cfg.Blob.URL += "/" + rand.Text()
	store, err := blob.Open(b.Context(), cfg.Blob)
	if err != nil {
		b.Fatal(err)
	}
	return store
}

// plainPuts is the time to store a mixture's bytes without making them.
func plainPuts(b *testing.B, from blob.Store, m *Manifest) time.Duration {
	b.Helper()
	to := openBenchBlobs(b)
	var parts [][]byte
	for _, part := range m.Parts {
		data, err := blob.Verified(b.Context(), from, part.Key, part.SHA256)
		if err != nil {
			b.Fatal(err)
		}
		parts = append(parts, data)
	}
	started := time.Now()
	for i, part := range m.Parts {
		if _, err := to.PutIfAbsent(b.Context(), part.Key, bytes.NewReader(parts[i]), part.Size); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(started)
}
