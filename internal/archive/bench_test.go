package archive_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Messages a second out and in.
func BenchmarkArchive(b *testing.B) {
	for _, n := range []int{500, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			from, to := newSite(b), newSite(b)
			from.record(runstate.Bucket, runstate.SpecKey(run), from.spec(run))
			for i := range n {
				id := identity(run, pb.Purpose_PURPOSE_GROW, i)
				text := strings.Repeat(fmt.Sprint("what ", i, " said; "), 300)
				from.publish(bus.TrajectorySubject(id), "", &pb.Event{Body: &pb.Event_Trajectory{Trajectory: &pb.Trajectory{Identity: id, Answer: text}}})
			}
			from.state(run, true, 0)
			for b.Loop() {
				file, err := os.Create(filepath.Join(b.TempDir(), "a"))
				from.must(err)
				measure(b, n, "out/s", func() { _, err = from.Export(b.Context(), run, file) })
				from.must(err)
				var c archive.Contents
				measure(b, n, "checked/s", func() { c, err = archive.Verify(b.Context(), file, limits) })
				from.must(err)
				measure(b, n, "in/s", func() { _, err = to.Import(b.Context(), io.NewSectionReader(file, 0, 1<<40), c, limits) })
				from.must(err)
				to.wipe(run)
			}
		})
	}
}

func measure(b *testing.B, n int, unit string, do func()) {
	begin := time.Now()
	do()
	b.ReportMetric(float64(n)/time.Since(begin).Seconds(), unit)
}
