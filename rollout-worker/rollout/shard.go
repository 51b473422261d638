package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

const (
	// splitAt is the delivery at which a shard is split into suspects of one question each: three workers did not finish it.
	splitAt = 4
	// deathsOfOne is how many workers may die over one suspect.
	deathsOfOne = 3
	// putOff is how long a shard waits while its endpoint or its search is down.
	putOff = 5 * time.Second
)

// completer is the model client.
type completer interface {
	Complete(ctx context.Context, r llm.Request) (llm.Response, error)
	Models(ctx context.Context, endpoint string) ([]string, error)
}

// player plays shards.
type player struct {
	bus     *bus.Conn
	model   completer
	tools   *toolbox
	spec    func(ctx context.Context, run string) (config.Run, error)
	log     *slog.Logger
	metrics *metrics
	// slots bounds the trajectories in flight, to as many as most; stopping is closed when the worker is asked to stop.
	slots    *semaphore.Weighted
	most     int64
	stopping <-chan struct{}
	// playing is the trajectories at work, by identity: a shard may be delivered again to the worker that has it.
	playing sync.Map
}

var errStopping = errors.New("the worker stops; somebody else goes on after the last journalled step")

// awaitSlot waits until a trajectory could begin, so that nothing is pulled that would have to wait.
func (p *player) awaitSlot(ctx context.Context) error {
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	p.slots.Release(1)
	return nil
}

// shard plays all trajectories of a task; what is there already costs one look-up.
func (p *player) shard(ctx context.Context, t *worker.Task) error {
	shard := t.GetShard()
	if shard == nil || len(shard.GetQuestions()) == 0 {
		return worker.Permanent(worker.WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, errors.New("want a shard with questions in the task")))
	}
	if t.Delivered >= splitAt && !shard.GetSuspect() {
		return p.split(ctx, t)
	}
	spec, err := p.spec(ctx, t.Run())
	if err != nil {
		return err
	}
	tool, err := p.tools.get(ctx, spec.Search)
	if err != nil {
		return worker.WithClass(pb.FailureClass_FAILURE_CLASS_SEARCH, fmt.Errorf("open search tool: %w", err))
	}
	var playing sync.WaitGroup
	var lost atomic.Bool
	outcomes := make(chan error, len(shard.GetQuestions())*int(shard.GetSamples()))
	for _, q := range shard.GetQuestions() {
		for sample := range shard.GetSamples() {
			g := &game{player: p, shard: shard, question: q, tool: tool, lost: &lost, seed: spec.Seed, cost: spec.Cost, traceparent: t.Event.GetTraceparent(), id: &pb.Identity{
				Run: t.Run(), Generation: int32(t.Generation()), Target: shard.GetTarget(), Purpose: shard.GetPurpose(),
				Question: q.GetToken(), Sample: shard.GetFirstSample() + sample,
			}}
			playing.Go(func() { outcomes <- g.guarded(ctx) })
		}
	}
	playing.Wait()
	close(outcomes)
	return verdict(outcomes)
}

// verdict makes one outcome of many. What can still succeed goes first: the shard is given up only when nothing else is
// left, because what was finished meanwhile costs its redelivery one look-up.
func verdict(outcomes <-chan error) error {
	var fenced error
	var later, again, never []error
	for err := range outcomes {
		switch {
		case err == nil:
		case errors.Is(err, errStopping), worker.IsOutage(err):
			later = append(later, err)
		case errors.Is(err, bus.ErrFenced):
			fenced = err
		case bus.IsPermanent(err):
			never = append(never, err)
		default:
			again = append(again, err)
		}
	}
	switch {
	case len(again) > 0:
		return errors.Join(again...)
	case fenced != nil: // the shard is somebody else's: acknowledging it would take it from them
		return fenced
	case len(later) == 0:
		return errors.Join(never...)
	case errors.Is(later[0], errStopping):
		return worker.Later(0, errStopping)
	}
	return worker.Later(putOff, later[0])
}

// split publishes a suspect for each question, then this one is done.
func (p *player) split(ctx context.Context, t *worker.Task) error {
	shard := t.GetShard()
	p.log.Warn("shard split: three workers did not finish it", "task", t.GetId(), "questions", len(shard.GetQuestions()))
	for i, q := range shard.GetQuestions() {
		single := &pb.Task{Id: fmt.Sprintf("%s-q%d", t.GetId(), i), Kind: t.GetKind(), Work: &pb.Task_Shard{Shard: &pb.Shard{
			Target: shard.GetTarget(), Purpose: shard.GetPurpose(), Policy: shard.GetPolicy(), Limits: shard.GetLimits(),
			Questions: []*pb.Question{q}, FirstSample: shard.GetFirstSample(), Samples: shard.GetSamples(),
			Suspect: true,
		}}}
		if err := p.bus.PublishTask(ctx, t.Run(), t.Generation(), single); err != nil {
			return fmt.Errorf("split shard %s: %w", t.GetId(), err)
		}
	}
	return nil
}
