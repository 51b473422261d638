package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

var (
	// errSilent: no message came, although the connection stands. There may be none.
	errSilent = errors.New("no message came")
	// errBehind: the consumer has not sent what the stream's leader has.
	errBehind = errors.New("the server's consumer is behind its stream")
)

// tap is a stream being read from some message on: an ordered consumer, which is ephemeral, knows no acknowledgements, and
// is made again by the client where it left off.
//
// In a cluster it lives on one server, not always the one that leads the stream. That server may lag, or be killed while
// the one that we talk to lives; and of members that had been killed, some were seen (nats-server 2.15) to keep a consumer
// with messages pending and a request waiting that sent nothing, for ever, but its heartbeats. So neither silence nor "that
// was all" is believed: the stream's leader is asked, see newest.
type tap struct {
	*Conn
	stream   string
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
}

// open begins at a sequence.
func (c *Conn) open(ctx context.Context, stream string, o FollowOptions, from uint64) (*tap, error) {
	t := &tap{Conn: c, stream: stream}
	err := c.retry(ctx, func(ctx context.Context) (err error) {
		t.consumer, err = c.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
			FilterSubjects: o.Filters, HeadersOnly: o.HeadersOnly, DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
			OptStartSeq: from, InactiveThreshold: time.Minute,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open %s for reading: %w", stream, err)
	}
	t.messages, err = t.consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(readAhead, readAheadBytes))
	if err != nil {
		return nil, fmt.Errorf("open %s for reading: %w", stream, c.explain(err))
	}
	return t, nil
}

// pending is how many messages there were when it was opened.
func (t *tap) pending() uint64 { return t.consumer.CachedInfo().NumPending }

// next waits for a message, and for no longer than patience.
func (t *tap) next(ctx context.Context, patience time.Duration) (*Message, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := t.messages.Next(jetstream.NextContext(waiting))
	switch {
	case err == nil:
		return t.message(raw)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		if closed := t.isClosed(); closed != nil {
			return nil, closed
		}
		return nil, errSilent
	}
	return nil, err
}

// shut ends reading. Left to itself a consumer outlives its reader by a minute, and a stream takes 1,000 of them
// (nats-server 2.15): a shell loop around `ratchet status` would lock everybody out.
func (t *tap) shut() {
	t.messages.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), shutPatience) // the reader's own context has often ended
	defer cancel()
	if err := t.js.DeleteConsumer(ctx, t.stream, t.consumer.CachedInfo().Name); err != nil {
		t.log.Debug("a reader's consumer is left to the server", "stream", t.stream, "error", err)
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
