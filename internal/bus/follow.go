package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// readAhead and readAheadBytes bound what the server sends before it is asked for: a million questions' trajectories
	// are read in the memory of a few.
	readAhead      = 256
	readAheadBytes = 8 << 20
	// readPatience is how long Read waits for a message before it asks whether there is one: what it waited for may
	// have been purged.
	readPatience = 2 * time.Second
	followEvery  = time.Second // after an interruption
	shutPatience = time.Second // with a server that does not answer; it forgets the consumer by itself
)

// FollowOptions say what to follow. From is a stream sequence, 0 for all.
type FollowOptions struct {
	Filters     []string
	From        uint64
	HeadersOnly bool
}

// Follow calls fn for each message in order, once each, until ctx ends (nil) or fn fails. It outlives a restart of
// the server, and waits for a stream that is not there yet.
func (c *Conn) Follow(ctx context.Context, stream string, o FollowOptions, fn func(*Message) error) error {
	next := max(o.From, 1)
	for {
		err := c.followFrom(ctx, stream, o, &next, fn)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrDenied) {
			return fmt.Errorf("follow %s: %w", stream, err)
		}
		var stop callbackError
		if errors.As(err, &stop) {
			return stop.error
		}
		if closed := c.isClosed(); closed != nil {
			return fmt.Errorf("follow %s: %w", stream, closed)
		}
		c.log.Warn("following interrupted", "stream", stream, "error", err)
		if wait(ctx, followEvery) != nil {
			return nil
		}
	}
}

// callbackError marks an error of Follow's caller.
type callbackError struct{ error }

func (c *Conn) followFrom(ctx context.Context, stream string, o FollowOptions, next *uint64, fn func(*Message) error) error {
	consumer, messages, err := c.open(ctx, stream, o, *next)
	if err != nil {
		return err
	}
	defer c.shut(stream, consumer, messages)
	for {
		raw, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("follow %s: %w", stream, err)
		}
		m, err := c.message(raw)
		if err != nil {
			return err
		}
		if m.Seq < *next {
			continue
		}
		if err := fn(m); err != nil {
			return callbackError{err}
		}
		*next = m.Seq + 1
	}
}

// open makes an ordered consumer: ephemeral, without acknowledgements, made again by the client where it left off.
func (c *Conn) open(ctx context.Context, stream string, o FollowOptions, from uint64) (jetstream.Consumer, jetstream.MessagesContext, error) {
	var consumer jetstream.Consumer
	err := c.retry(ctx, func(ctx context.Context) (err error) {
		consumer, err = c.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
			FilterSubjects: o.Filters, HeadersOnly: o.HeadersOnly, DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
			OptStartSeq: from, InactiveThreshold: time.Minute,
		})
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open %s for reading: %w", stream, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(readAhead, readAheadBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("open %s for reading: %w", stream, c.explain(err))
	}
	return consumer, messages, nil
}

// shut ends reading. Left to itself a consumer outlives its reader by a minute, and a stream takes 1,000 of them
// (nats-server 2.15): a shell loop around `ratchet status` would lock everybody out.
func (c *Conn) shut(stream string, consumer jetstream.Consumer, messages jetstream.MessagesContext) {
	messages.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), shutPatience) // the reader's own context has often ended
	defer cancel()
	if err := c.js.DeleteConsumer(ctx, stream, consumer.CachedInfo().Name); err != nil {
		c.log.Debug("a reader's consumer is left to the server", "stream", stream, "error", err)
	}
}

func (c *Conn) message(raw jetstream.Msg) (*Message, error) {
	meta, err := raw.Metadata()
	if err != nil {
		return nil, fmt.Errorf("read metadata of a message on %s: %w", raw.Subject(), err)
	}
	return &Message{
		Subject: raw.Subject(), Seq: meta.Sequence.Stream, Time: meta.Timestamp, Data: raw.Data(), Pending: meta.NumPending,
		header: raw.Headers(), conn: c,
	}, nil
}

// Read yields all messages that match one of the filters now, in order.
func (c *Conn) Read(ctx context.Context, stream string, filters ...string) iter.Seq2[*Message, error] {
	return c.ReadWith(ctx, stream, FollowOptions{Filters: filters})
}

// ReadWith is Read with the options of Follow.
func (c *Conn) ReadWith(ctx context.Context, stream string, o FollowOptions) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		consumer, messages, err := c.open(ctx, stream, o, max(o.From, 1))
		if err != nil {
			yield(nil, err)
			return
		}
		defer c.shut(stream, consumer, messages)
		for left := consumer.CachedInfo().NumPending; left > 0; left-- {
			m, err := c.readNext(ctx, consumer, messages)
			if err != nil {
				yield(nil, fmt.Errorf("read %s: %w", stream, err))
				return
			}
			if m == nil || !yield(m, nil) || m.Pending == 0 {
				return
			}
		}
	}
}

// readNext is nil when there is nothing to wait for any more.
func (c *Conn) readNext(ctx context.Context, consumer jetstream.Consumer, messages jetstream.MessagesContext) (*Message, error) {
	for {
		patience, cancel := context.WithTimeout(ctx, readPatience)
		raw, err := messages.Next(jetstream.NextContext(patience))
		cancel()
		switch {
		case err == nil:
			return c.message(raw)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !errors.Is(err, context.DeadlineExceeded):
			return nil, err
		}
		if closed := c.isClosed(); closed != nil {
			return nil, closed
		}
		asking, cancel := context.WithTimeout(ctx, attemptTimeout)
		info, err := consumer.Info(asking)
		cancel()
		if err == nil && info.NumPending == 0 {
			return nil, nil //nolint:nilnil // what was there is gone
		}
	}
}
