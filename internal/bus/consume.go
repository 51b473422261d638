package bus

import (
	"cmp"
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
	pullExpiry      = 30 * time.Second
	pullHeartbeat   = 5 * time.Second
	pullAgain       = time.Second // after an error
	bindEvery       = 500 * time.Millisecond
	bindPatience    = 10 * time.Second // before it is said what is waited for
	handBackTimeout = 2 * time.Second
	// lastChances is how many deliveries before the last are handled alone.
	lastChances = 2
)

// Source is a durable consumer to take work from.
type Source struct{ Stream, Consumer string }

// TaskSource is the queue of a task kind.
func TaskSource(kind string) Source { return Source{Tasks, kind} }

// RankSource is the trajectories that a ranker follows.
func RankSource(ranker string) Source { return Source{Trajectories, rankPrefix + ranker} }

// JudgeSource is the trajectories that a judge follows.
func JudgeSource(judge string) Source { return Source{Trajectories, judgePrefix + judge} }

// Prefixes of the consumers of rankers and judges, and of the kind of task that each does beside them: see Again.
const (
	rankPrefix  = "rank-"
	judgePrefix = "judge-"
)

// Loop says how work is taken.
type Loop struct {
	Source Source
	// Slots is how many deliveries are handled at once; 0 means 1.
	Slots int
	// Deadline bounds one delivery, waits of Later included: nothing keeps a message longer. 0 means none but Drain.
	Deadline time.Duration
	// Drain is how long deliveries in flight may go on after the context ended.
	Drain time.Duration
	// MaxDeliver overrides the configured number of deliveries after which a message is a dead letter.
	MaxDeliver int
	// Ready is asked before each pull, and blocks while the work could not be done: an endpoint is down, say. Its error
	// ends the loop. Optional.
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
	stopping context.Context         // done when nothing more is pulled
	fatal    context.CancelCauseFunc // ends stopping
}

// errDrained is the cause of the end of work that outlived its drain time.
var errDrained = errors.New("draining: the time for work in flight is over")

// Consume takes messages one at a time, as slots are free, until ctx ends; then it lets work in flight go on for
// Drain, hands back the rest and returns nil. An error of Stop ends it with that error.
//
// One pull waits at a time: the server holds nothing back for us that somebody else could do.
func (c *Conn) Consume(ctx context.Context, l Loop, handle func(context.Context, *Delivery) error) error {
	l.Slots = max(l.Slots, 1)
	l.MaxDeliver = cmp.Or(l.MaxDeliver, c.cfg.MaxDeliver)
	consumer, err := c.bindConsumer(ctx, l.Source)
	if ctx.Err() != nil {
		return nil // asked to stop before there was anything to do
	}
	if err != nil {
		return err
	}
	pulling, stopPulling := context.WithCancelCause(ctx)
	defer stopPulling(nil)
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(nil)
	k := &consumption{Conn: c, Loop: l, ackWait: consumer.CachedInfo().Config.AckWait, handle: handle, stopping: pulling, fatal: stopPulling}

	err = k.dispatch(pulling, work, consumer)
	k.drain(stopWork)
	if ctx.Err() != nil {
		return nil
	}
	if fatal := context.Cause(pulling); fatal != nil {
		return fatal
	}
	return err
}

// bindConsumer waits until the coordinator has made the consumer, which may be days: a ranker's is made when a run names
// it. It says so once.
func (c *Conn) bindConsumer(ctx context.Context, s Source) (jetstream.Consumer, error) {
	begin, said := time.Now(), false
	for {
		try, cancel := context.WithTimeout(ctx, requestTimeout)
		consumer, err := c.consumer(try, s)
		cancel()
		if err == nil {
			return consumer, nil
		}
		if errors.Is(err, ErrDenied) {
			return nil, fmt.Errorf("bind to %s/%s: %w", s.Stream, s.Consumer, err)
		}
		if closed := c.isClosed(); closed != nil {
			return nil, fmt.Errorf("bind to %s/%s: %w", s.Stream, s.Consumer, closed)
		}
		if !said && time.Since(begin) > bindPatience {
			c.log.Info("waiting for the coordinator to make the queue", "stream", s.Stream, "consumer", s.Consumer, "error", err)
			said = true
		}
		if err := wait(ctx, bindEvery); err != nil {
			return nil, err
		}
	}
}

// consumer asks for a durable consumer.
func (c *Conn) consumer(ctx context.Context, s Source) (consumer jetstream.Consumer, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		consumer, err = c.js.Consumer(ctx, s.Stream, s.Consumer)
		return err
	})
	return consumer, err
}

// dispatch takes a slot, then pulls, then hands over.
func (k *consumption) dispatch(ctx, work context.Context, consumer jetstream.Consumer) error {
	messages, err := consumer.Messages(
		jetstream.PullMaxMessages(1), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
	)
	if err != nil {
		return fmt.Errorf("pull from %s/%s: %w", k.Source.Stream, k.Source.Consumer, k.explain(err))
	}
	defer handBack(messages)
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
		if k.isLastChance(msg) {
			k.alone(ctx, work, msg, slots)
			continue
		}
		k.working.Go(func() {
			defer func() { <-slots }()
			k.do(work, msg, nil)
		})
	}
}

// isLastChance: the message is given up soon. Its workers may have died over it, or with another that kills them.
func (k *consumption) isLastChance(msg jetstream.Msg) bool {
	meta, err := msg.Metadata()
	return err == nil && int(meta.NumDelivered) > max(k.MaxDeliver-lastChances, lastChances)
}

// alone handles a message when all others are done, and pulls no other meanwhile: a message that kills its workers takes
// none with it any more that was delivered again and again only because it was beside.
func (k *consumption) alone(ctx, work context.Context, msg jetstream.Msg, slots chan struct{}) {
	others, done := make(chan struct{}), make(chan struct{})
	k.working.Go(func() {
		defer close(done)
		defer func() { <-slots }()
		k.do(work, msg, others)
	})
	for range k.Slots - 1 {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
	close(others)
	select {
	case <-done:
	case <-ctx.Done():
		return
	}
	for range k.Slots - 1 {
		<-slots
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
			k.metrics.silences.WithLabelValues(k.Source.Consumer).Inc()
			k.log.Warn("no heartbeat from the server while pulling", "consumer", k.Source.Consumer)
		case errors.Is(err, jetstream.ErrMsgIteratorClosed), errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound):
			return nil, fmt.Errorf("pull from %s/%s: %w", k.Source.Stream, k.Source.Consumer, err)
		default:
			k.log.Warn("pull", "consumer", k.Source.Consumer, "error", k.explain(err))
			if err := wait(ctx, pullAgain); err != nil {
				return nil, err
			}
		}
	}
}

// handBack ends the pull that waits. A message that came for it meanwhile goes back at once, not after its lease.
func handBack(messages jetstream.MessagesContext) {
	ctx, cancel := context.WithTimeout(context.Background(), handBackTimeout)
	defer cancel()
	messages.Drain()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return
		}
		_ = msg.Nak() // else its lease runs out
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

// do is the life of one message in our hands: kept by heartbeats while it waits for others, if it must, and is fetched and
// handled, then settled.
func (k *consumption) do(ctx context.Context, msg jetstream.Msg, others <-chan struct{}) {
	working, cancel := k.bounded(ctx)
	beating := k.beat(working, msg)
	d, err := k.delivery(working, msg)
	if err == nil && others != nil {
		err = k.await(working, others)
	}
	if err == nil {
		err = k.patiently(working, d.Subject, func() error { return k.guarded(working, d) })
	}
	cancel()
	<-beating
	k.settle(ctx, msg, d, err)
}

func (k *consumption) await(ctx context.Context, others <-chan struct{}) error {
	select {
	case <-others:
		return nil
	case <-k.stopping.Done():
	case <-ctx.Done():
	}
	return Later(0, errors.New("stopped while it waited for the others to be done"))
}

func (k *consumption) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if k.Deadline <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, k.Deadline)
}

// beat tells the server that the work goes on, until it ends.
func (k *consumption) beat(ctx context.Context, msg jetstream.Msg) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait(ctx, k.ackWait/3) == nil {
			if err := msg.InProgress(); err != nil {
				k.log.Warn("heartbeat", "subject", msg.Subject(), "error", err)
			}
		}
	}()
	return done
}

// delivery fetches it, for as long as the blob store is away if it lies there.
func (k *consumption) delivery(ctx context.Context, msg jetstream.Msg) (d *Delivery, err error) {
	err = k.patiently(ctx, msg.Subject(), func() error {
		d, err = k.fetched(ctx, msg)
		return err
	})
	return d, err
}

// fetched is never nil, so that what cannot be read can be settled.
func (k *consumption) fetched(ctx context.Context, msg jetstream.Msg) (*Delivery, error) {
	d := &Delivery{Subject: msg.Subject(), Event: &pb.Event{}}
	meta, err := msg.Metadata()
	if err != nil {
		return d, fmt.Errorf("read metadata of a message on %s: %w", d.Subject, err)
	}
	d.Seq, d.Time, d.Delivered = meta.Sequence.Stream, meta.Timestamp, int(meta.NumDelivered)
	if d.Delivered > k.MaxDeliver {
		return d, Permanent(WithClass(pb.FailureClass_FAILURE_CLASS_WORKER_KILLED,
			fmt.Errorf("delivered %d times and never finished: its worker died or was stopped each time", d.Delivered-1)))
	}
	ev, err := k.event(ctx, d.Subject, msg.Headers(), msg.Data())
	if errors.Is(err, ErrRejected) {
		return d, Permanent(WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, err))
	}
	if err != nil {
		return d, err
	}
	d.Event = ev
	return d, nil
}

// patiently tries until the error is not Later. The message is kept meanwhile, by heartbeats: handing it back would count
// as a delivery, and an outage is nobody's attempt.
func (k *consumption) patiently(ctx context.Context, subject string, try func() error) error {
	for {
		err := putOff(try())
		var later laterError
		if !errors.As(err, &later) {
			return err
		}
		k.log.Info("later", "subject", subject, "in", later.after, "reason", err)
		select {
		case <-k.stopping.Done():
			return err // somebody else may go on
		case <-ctx.Done():
			return err
		case <-time.After(later.after):
		}
	}
}

// guarded runs the handler; a panic is its error.
func (k *consumption) guarded(ctx context.Context, d *Delivery) (err error) {
	defer func() {
		if r := recover(); r != nil {
			k.metrics.panics.WithLabelValues(k.Source.Consumer).Inc()
			k.log.Error("handler panicked", "subject", d.Subject, "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("handler panicked: %v", r)
		}
	}()
	return k.handle(ctx, d)
}
