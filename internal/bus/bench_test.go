package bus_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// writers is how many trajectories write at once.
const writers = 64

// largeStep is a step of four candidates, 4 KiB in all.
func largeStep(i int) *pb.Step {
	s := &pb.Step{Index: int32(i)}
	for range 4 {
		s.Candidates = append(s.Candidates, &pb.Candidate{Text: strings.Repeat("a thought ", 100), Tokens: 250})
	}
	return s
}

// BenchmarkJournal is the cost of a finished step: appends with an expected sequence, beside raw publishes of the same
// bytes to the same server, every write synced. DESIGN 9 wants the ratio of the two at 0.85 or more.
func BenchmarkJournal(b *testing.B) {
	conn := devstack.TestBus(b)
	b.Run("raw", func(b *testing.B) {
		publish := conn.RawPublisher(b, largeStep(0))
		b.SetParallelism(writers / 2)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if err := publish(); err != nil {
					b.Error(err)
				}
			}
		})
	})
	var journals atomic.Int64
	b.Run("journal", func(b *testing.B) {
		b.SetParallelism(writers / 2)
		b.RunParallel(func(p *testing.PB) {
			journal, _, err := conn.OpenJournal(context.Background(), identity(fmt.Sprintf("pool-%d", journals.Add(1))))
			for i := 0; p.Next() && err == nil; i++ {
				err = journal.Append(context.Background(), largeStep(i))
			}
			if err != nil {
				b.Error(err)
			}
		})
	})
}
