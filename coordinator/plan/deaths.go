package plan

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// plot is the dead letters that are counted together.
type plot struct {
	kind string // who gave up: rollout, rank-<ranker> or judge-<judge>
	group
}

// grave is a trajectory in a plot, by the hash of its identity: when a whole pool dies, its names stay on disk.
type grave [16]byte

func death(kind string, id *pb.Identity) (plot, grave) {
	sum := sha256.Sum256([]byte(bus.IDTokens(id)))
	return plot{kind, groupOf(id)}, grave(sum[:16])
}

type fatality struct {
	kind       string
	generation int
	seq        uint64
	reason     string
}

// noteDeath notes what a dead letter gave up. A trajectory that has its result all the same is not dead: one
// of a shard may have failed after others were finished, or it was replayed.
func (p *projection) noteDeath(ctx context.Context, m *bus.Message) error {
	event, err := m.Event(ctx)
	if err != nil {
		return err
	}
	letter := event.GetDeadLetter()
	if len(letter.GetIdentities()) == 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fatal = append(p.fatal, fatality{
			kind: letter.GetKind(), generation: int(event.GetGeneration()), seq: m.Seq, reason: letter.GetError(),
		})
		return nil
	}
	for _, id := range letter.GetIdentities() {
		if err := p.bury(ctx, letter.GetKind(), id); err != nil {
			return err
		}
	}
	return nil
}

func (p *projection) bury(ctx context.Context, kind string, id *pb.Identity) error {
	p.lay(kind, id)
	stream, subject := resultOf(kind, id)
	if _, err := p.bus.Last(ctx, stream, subject); errors.Is(err, bus.ErrNotFound) {
		return nil
	} else if err != nil {
		return fmt.Errorf("look for the result of a dead letter: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exhume(kind, id)
	return nil
}

// lay notes a death.
func (p *projection) lay(kind string, id *pb.Identity) {
	where, who := death(kind, id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaths[where] == nil {
		p.deaths[where] = map[grave]struct{}{}
	}
	p.deaths[where][who] = struct{}{}
}

// exhume forgets a death: there is a result. p.mu is held.
func (p *projection) exhume(kind string, id *pb.Identity) {
	if len(p.deaths) > 0 { // hardly ever
		where, who := death(kind, id)
		delete(p.deaths[where], who)
	}
}

// resultOf is where the result would be that a worker kind gave up.
func resultOf(kind string, id *pb.Identity) (stream, subject string) {
	if ranker, ok := strings.CutPrefix(kind, "rank-"); ok {
		return bus.Feedback, bus.FeedbackSubject(ranker, id)
	}
	if judge, ok := strings.CutPrefix(kind, "judge-"); ok {
		return bus.Verdicts, bus.VerdictSubject(judge, id)
	}
	return bus.Trajectories, bus.TrajectorySubject(id)
}

// fatalAfter is the first dead letter of a phase's task after seq, if there is one.
func (p *projection) fatalAfter(seq uint64, kind string, generation int) (fatality, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.fatal {
		if f.seq > seq && f.kind == kind && f.generation == generation {
			return f, true
		}
	}
	return fatality{}, false
}

// lastFatal is the newest dead letter of a phase's task, 0 if there is none.
func (p *projection) lastFatal() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.fatal) == 0 {
		return 0
	}
	return p.fatal[len(p.fatal)-1].seq
}
