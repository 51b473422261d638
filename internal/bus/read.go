package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Message is a stored message.
type Message struct {
	Subject string
	Seq     uint64
	Time    time.Time
	Data    []byte
	// Pending is how many more there were when this one was delivered.
	Pending uint64

	header nats.Header
	conn   *Conn
}

// Get is a header's value, empty if it is absent.
func (m *Message) Get(header string) string {
	if values := m.header[header]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Event decodes the message; a claim is fetched from the blob store.
func (m *Message) Event(ctx context.Context) (*pb.Event, error) {
	return m.conn.decode(ctx, m.Get(HeaderContentType), m.Data)
}

// stream is a handle on a stream, asked for once.
func (c *Conn) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if s, ok := c.streams.Load(name); ok {
		return s.(jetstream.Stream), nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := c.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("bind to stream %s: %w", name, c.explain(err))
	}
	c.streams.Store(name, s)
	return s, nil
}

// Last is the newest message on a subject.
func (c *Conn) Last(ctx context.Context, stream, subject string) (*Message, error) {
	return c.get(ctx, stream, func(ctx context.Context, s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetLastMsgForSubject(ctx, subject)
	})
}

// next is the first message on a subject at or after a sequence.
func (c *Conn) next(ctx context.Context, stream, subject string, seq uint64) (*Message, error) {
	return c.get(ctx, stream, func(ctx context.Context, s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject))
	})
}

func (c *Conn) get(ctx context.Context, name string, get func(context.Context, jetstream.Stream) (*jetstream.RawStreamMsg, error)) (*Message, error) {
	s, err := c.stream(ctx, name)
	if err != nil {
		return nil, err
	}
	for attempt := range publishAttempts {
		var raw *jetstream.RawStreamMsg
		try, cancel := context.WithTimeout(ctx, publishTimeout)
		raw, err = get(try, s)
		cancel()
		switch {
		case err == nil:
			return &Message{Subject: raw.Subject, Seq: raw.Sequence, Time: raw.Time, Data: raw.Data, header: raw.Header, conn: c}, nil
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, ErrNotFound
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !isTransient(err):
			return nil, fmt.Errorf("read from %s: %w", name, err)
		}
		if err := wait(ctx, backoff(attempt)); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("read from %s: %w", name, c.explain(err))
}

// FollowOptions say what to follow. From is a stream sequence, 0 for all.
type FollowOptions struct {
	Filters     []string
	From        uint64
	HeadersOnly bool
}

// Follow calls fn for each message in order, once each, until ctx ends (nil) or fn fails. It outlives a restart of
// the server.
func (c *Conn) Follow(ctx context.Context, stream string, o FollowOptions, fn func(*Message) error) error {
	next := max(o.From, 1)
	for {
		err := c.followFrom(ctx, stream, o, &next, fn)
		if ctx.Err() != nil {
			return nil
		}
		var stop callbackError
		if errors.As(err, &stop) {
			return stop.error
		}
		c.log.Warn("following interrupted", "stream", stream, "error", err)
		if wait(ctx, time.Second) != nil {
			return nil
		}
	}
}

// callbackError marks an error of Follow's caller.
type callbackError struct{ error }

func (c *Conn) followFrom(ctx context.Context, stream string, o FollowOptions, next *uint64, fn func(*Message) error) error {
	consumer, err := c.js.OrderedConsumer(ctx, stream, ordered(o, *next))
	if err != nil {
		return fmt.Errorf("follow %s: %w", stream, c.explain(err))
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("follow %s: %w", stream, c.explain(err))
	}
	defer messages.Stop()
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

func ordered(o FollowOptions, from uint64) jetstream.OrderedConsumerConfig {
	return jetstream.OrderedConsumerConfig{
		FilterSubjects: o.Filters, HeadersOnly: o.HeadersOnly, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
		InactiveThreshold: time.Minute,
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
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		consumer, err := c.js.OrderedConsumer(ctx, stream, ordered(o, max(o.From, 1)))
		if err != nil {
			yield(nil, fmt.Errorf("read %s: %w", stream, c.explain(err)))
			return
		}
		left := consumer.CachedInfo().NumPending
		if left == 0 {
			return
		}
		messages, err := consumer.Messages()
		if err != nil {
			yield(nil, fmt.Errorf("read %s: %w", stream, c.explain(err)))
			return
		}
		defer messages.Stop()
		for ; left > 0; left-- {
			raw, err := messages.Next(jetstream.NextContext(ctx))
			if err != nil {
				yield(nil, fmt.Errorf("read %s: %w", stream, c.explain(err)))
				return
			}
			m, err := c.message(raw)
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// Purge removes what matches the filter.
func (c *Conn) Purge(ctx context.Context, stream, filter string) error {
	s, err := c.stream(ctx, stream)
	if err != nil {
		return err
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSubject(filter)); err != nil {
		return fmt.Errorf("purge %s of %s: %w", filter, stream, c.explain(err))
	}
	return nil
}

// Delete removes one message; one that is gone is no error.
func (c *Conn) Delete(ctx context.Context, stream string, seq uint64) error {
	s, err := c.stream(ctx, stream)
	if err != nil {
		return err
	}
	if err := s.DeleteMsg(ctx, seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return fmt.Errorf("delete message %d of %s: %w", seq, stream, c.explain(err))
	}
	return nil
}

// Depth of a queue.
type Depth struct {
	Waiting, InFlight, Redelivered uint64
}

// Depth asks the server; do not ask for each message.
func (c *Conn) Depth(ctx context.Context, s Source) (Depth, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	consumer, err := c.js.Consumer(ctx, s.Stream, s.Consumer)
	if err != nil {
		return Depth{}, fmt.Errorf("look at %s/%s: %w", s.Stream, s.Consumer, c.explain(err))
	}
	info := consumer.CachedInfo()
	return Depth{Waiting: info.NumPending, InFlight: uint64(info.NumAckPending), Redelivered: uint64(info.NumRedelivered)}, nil
}

// StreamState is how full a stream is.
type StreamState struct {
	Name      string
	Messages  uint64
	Bytes     uint64
	MaxBytes  int64
	Consumers int
}

// Streams lists the streams of ours.
func (c *Conn) Streams(ctx context.Context) ([]StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var all []StreamState
	list := c.js.ListStreams(ctx)
	for info := range list.Info() {
		all = append(all, StreamState{
			Name: info.Config.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes,
			Consumers: info.State.Consumers,
		})
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list streams: %w", c.explain(err))
	}
	return all, nil
}
