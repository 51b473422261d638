package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const (
	pullExpiry    = 30 * time.Second
	pullHeartbeat = 5 * time.Second
	bindEvery     = 500 * time.Millisecond
	bindPatience  = 10 * time.Second
	settleTimeout = 10 * time.Second
)

// Source is a durable consumer to take work from.
type Source struct{ Stream, Consumer string }

// TaskSource is the queue of a task kind.
func TaskSource(kind string) Source { return Source{Tasks, kind} }

// RankSource is the trajectories that a ranker follows.
func RankSource(ranker string) Source { return Source{Trajectories, "rank-" + ranker} }

// JudgeSource is the trajectories that a judge follows.
func JudgeSource(judge string) Source { return Source{Trajectories, "judge-" + judge} }

// Loop says how work is taken.
type Loop struct {
	Source Source
	// Slots is how many deliveries are handled at once; 0 means 1.
	Slots int
	// Deadline bounds one delivery; 0 means none but Drain.
	Deadline time.Duration
	// Drain is how long deliveries in flight may go on after the context ended.
	Drain time.Duration
	// MaxDeliver overrides the configured number of deliveries after which a message is a dead letter.
	MaxDeliver int
	// Ready is asked before each pull, and blocks while the work could not be done: an endpoint is down, say.
	Ready func(context.Context) error
}

// Delivery is a message handed to a handler.
type Delivery struct {
	Event   *pb.Event
	Subject string
	Seq     uint64
	// Delivered counts deliveries, this one included.
	Delivered int
	Time      time.Time
}

// consumption is one running Consume.
type consumption struct {
	*Conn
	Loop
	ackWait time.Duration
	handle  func(context.Context, *Delivery) error

	working  sync.WaitGroup
	stopping context.Context // done when nothing more is pulled
	fatal    context.CancelCauseFunc
}

// errDrained is the cause of the end of work that outlived its drain time.
var errDrained = errors.New("draining: the time for work in flight is over")

// Consume takes messages one at a time, as slots are free, until ctx ends; then it lets work in flight go on for
// Drain, hands back the rest and returns nil. An error of Stop ends it with that error.
//
// One pull waits at a time: the server holds nothing back for us that somebody else could do.
func (c *Conn) Consume(ctx context.Context, l Loop, handle func(context.Context, *Delivery) error) error {
	consumer, err := c.bindConsumer(ctx, l.Source)
	if err != nil || consumer == nil {
		return err
	}
	l.Slots = max(l.Slots, 1)
	if l.MaxDeliver == 0 {
		l.MaxDeliver = c.cfg.MaxDeliver
	}
	pulling, stopPulling := context.WithCancelCause(ctx)
	defer stopPulling(nil)
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(nil)
	k := &consumption{Conn: c, Loop: l, ackWait: consumer.CachedInfo().Config.AckWait, handle: handle, stopping: pulling, fatal: stopPulling}

	err = k.dispatch(pulling, work, consumer)
	k.drain(stopWork)
	if cause := context.Cause(pulling); ctx.Err() == nil && cause != nil {
		return cause
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// bindConsumer waits, and says so, until the coordinator has made the consumer.
func (c *Conn) bindConsumer(ctx context.Context, s Source) (jetstream.Consumer, error) {
	begin, said := time.Now(), false
	for {
		try, cancel := context.WithTimeout(ctx, requestTimeout)
		consumer, err := c.js.Consumer(try, s.Stream, s.Consumer)
		cancel()
		if err == nil {
			return consumer, nil
		}
		if !said && time.Since(begin) > bindPatience {
			c.log.Info("waiting until a coordinator or a run makes this queue", "stream", s.Stream, "consumer", s.Consumer, "error", c.explain(err))
			said = true
		}
		if err := wait(ctx, bindEvery); err != nil {
			return nil, nil //nolint:nilerr,nilnil // asked to stop before there was anything to do
		}
	}
}

// dispatch takes a slot, then pulls, then hands over.
func (k *consumption) dispatch(ctx, work context.Context, consumer jetstream.Consumer) error {
	if consumer == nil {
		return nil
	}
	messages, err := consumer.Messages(
		jetstream.PullMaxMessages(1), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
	)
	if err != nil {
		return fmt.Errorf("pull from %s/%s: %w", k.Source.Stream, k.Source.Consumer, k.explain(err))
	}
	defer messages.Stop()
	slots := make(chan struct{}, k.Slots)
	for {
		select {
		case <-ctx.Done():
			return nil
		case slots <- struct{}{}:
		}
		msg, err := k.pull(ctx, messages)
		if err != nil {
			return err
		}
		k.working.Go(func() {
			defer func() { <-slots }()
			k.do(work, msg)
		})
	}
}

func (k *consumption) pull(ctx context.Context, messages jetstream.MessagesContext) (jetstream.Msg, error) {
	for {
		if k.Ready != nil {
			if err := k.Ready(ctx); err != nil {
				return nil, err
			}
		}
		msg, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case err == nil:
			return msg, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			k.log.Warn("no heartbeat from the server while pulling", "consumer", k.Source.Consumer)
		case errors.Is(err, jetstream.ErrMsgIteratorClosed), errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound):
			return nil, fmt.Errorf("pull from %s/%s: %w", k.Source.Stream, k.Source.Consumer, err)
		default:
			k.log.Warn("pull", "consumer", k.Source.Consumer, "error", k.explain(err))
			if err := wait(ctx, time.Second); err != nil {
				return nil, err
			}
		}
	}
}

// drain waits for work in flight, then cancels what is left of it; that hands its messages back.
func (k *consumption) drain(stopWork context.CancelCauseFunc) {
	done := make(chan struct{})
	go func() {
		k.working.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-time.After(k.Drain):
		stopWork(errDrained)
	}
	<-done
}

// do handles one message: lease, deadline, handler, settlement.
func (k *consumption) do(ctx context.Context, msg jetstream.Msg) {
	d, err := k.delivery(ctx, msg)
	if err != nil {
		k.settle(ctx, msg, d, err)
		return
	}
	if d.Delivered > k.MaxDeliver {
		k.settle(ctx, msg, d, Permanent(WithClass(pb.FailureClass_FAILURE_CLASS_WORKER_KILLED,
			fmt.Errorf("delivered %d times and never finished: its worker died or was stopped each time", d.Delivered-1))))
		return
	}
	working, cancel := context.WithCancel(ctx)
	if k.Deadline > 0 {
		working, cancel = context.WithTimeout(ctx, k.Deadline)
	}
	beating := k.beat(working, msg)
	err = k.again(working, d)
	cancel()
	<-beating
	k.settle(ctx, msg, d, err)
}

// again runs the handler until its error is not Later. The message is kept meanwhile, by heartbeats: handing it back would
// count as a delivery, and an outage is nobody's attempt.
func (k *consumption) again(ctx context.Context, d *Delivery) error {
	for {
		err := k.guarded(ctx, d)
		var later laterError
		if !errors.As(err, &later) {
			return err
		}
		k.log.Info("later", "subject", d.Subject, "in", later.after, "reason", err)
		select {
		case <-k.stopping.Done():
			return err // somebody else may go on at once
		case <-ctx.Done():
			return err
		case <-time.After(later.after):
		}
	}
}

func (k *consumption) delivery(ctx context.Context, msg jetstream.Msg) (*Delivery, error) {
	d := &Delivery{Subject: msg.Subject(), Event: &pb.Event{}}
	m, err := k.message(msg)
	if err != nil {
		return d, Permanent(err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return d, Permanent(err)
	}
	d.Seq, d.Time, d.Delivered = m.Seq, m.Time, int(meta.NumDelivered)
	ev, err := m.Event(ctx)
	if err != nil {
		return d, Permanent(WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, err))
	}
	d.Event = ev
	return d, nil
}

// beat tells the server that the work goes on, until it ends.
func (k *consumption) beat(ctx context.Context, msg jetstream.Msg) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait(ctx, max(k.ackWait/3, 10*time.Millisecond)) == nil {
			if err := msg.InProgress(); err != nil {
				k.log.Warn("heartbeat", "subject", msg.Subject(), "error", err)
			}
		}
	}()
	return done
}

// guarded runs the handler; a panic is its error.
func (k *consumption) guarded(ctx context.Context, d *Delivery) (err error) {
	defer func() {
		if r := recover(); r != nil {
			k.log.Error("handler panicked", "subject", d.Subject, "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("handler panicked: %v", r)
		}
	}()
	return k.handle(ctx, d)
}

// settle is the only place where a message's fate is decided.
func (k *consumption) settle(ctx context.Context, msg jetstream.Msg, d *Delivery, err error) {
	drained := errors.Is(context.Cause(ctx), errDrained)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	var later laterError
	var settled error
	switch {
	case err == nil:
		settled = msg.DoubleAck(ctx)
	case drained:
		settled = msg.Nak()
	case errors.As(err, new(stopError)):
		settled = msg.Nak()
		k.fatal(err)
	case errors.As(err, &later): // only when we stop, or the deadline has passed
		settled = msg.NakWithDelay(later.after)
	case IsPermanent(err) || d.Delivered >= k.MaxDeliver:
		settled = k.bury(ctx, msg, d, err)
	default:
		delay := retryDelay(d.Delivered)
		k.log.Warn("failed; will be tried again", "subject", d.Subject, "delivery", d.Delivered, "in", delay, "error", err)
		settled = msg.NakWithDelay(delay)
	}
	if settled != nil {
		k.log.Warn("not settled; will be redelivered", "subject", d.Subject, "error", k.explain(settled))
	}
}

// retryDelay doubles from half a second to half a minute, with jitter.
func retryDelay(delivered int) time.Duration {
	d := min(500*time.Millisecond<<min(delivered-1, 6), 30*time.Second)
	return d/2 + time.Duration(float64(d/2)*jitter())
}

// bury publishes the dead letter and only then terminates the message: the other way round a crash loses it.
func (k *consumption) bury(ctx context.Context, msg jetstream.Msg, d *Delivery, err error) error {
	k.log.Error("dead letter", "subject", d.Subject, "deliveries", d.Delivered, "error", err)
	letter := deadLetter(k.kind(), d.Subject, msg.Data(), d.Event)
	letter.Failure, letter.Error, letter.Attempts = classOf(err), err.Error(), int32(d.Delivered)
	if err := k.publishDead(ctx, d.Event, letter, d.Seq); err != nil {
		return err
	}
	return msg.TermWithReason(letter.GetFailure().String())
}

// kind names who gave up: the task's kind, or the consumer of a ranker or judge.
func (k *consumption) kind() string { return k.Source.Consumer }
