package bus

import (
	"context"
	"errors"
	"fmt"
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
func (m *Message) Get(header string) string { return first(m.header[header]) }

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// Parse reads the message's subject. One that none of ours prints is ErrRejected.
func (m *Message) Parse() (Subject, error) {
	s, err := ParseSubject(m.Subject)
	if err != nil {
		return s, m.conn.rejected(m.Subject, reject(reasonIdentity, "%w", err))
	}
	return s, nil
}

// Replayed rejects a message that says again, and otherwise, what another one on its subject has said: the first stands.
func (m *Message) Replayed() error {
	return m.conn.rejected(m.Subject, reject(reasonReplayed, "message %d says otherwise than an earlier one, which stands", m.Seq))
}

// Stray rejects a message that is about nothing of ours.
func (m *Message) Stray(err error) error {
	return m.conn.rejected(m.Subject, reject(reasonIdentity, "%w", err))
}

// Event decodes the message; a claim is fetched from the blob store. What is not what its subject says is ErrRejected:
// a reader goes on with the next.
func (m *Message) Event(ctx context.Context) (*pb.Event, error) {
	return m.conn.event(ctx, m.Subject, m.header, m.Data)
}

// content is the hash of the body, of the header where its writer set it.
func (m *Message) content(ctx context.Context) (string, error) {
	if hash := m.Get(HeaderContent); hash != "" {
		return hash, nil
	}
	ev, err := m.conn.decode(ctx, m.Get(HeaderContentType), m.Data)
	if err != nil {
		return "", err
	}
	return ContentHash(ev), nil
}

// stream is a handle on a stream, asked for once.
func (c *Conn) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if s, ok := c.streams.Load(name); ok {
		return s.(jetstream.Stream), nil
	}
	var s jetstream.Stream
	err := c.retry(ctx, func(ctx context.Context) (err error) {
		s, err = c.js.Stream(ctx, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bind to stream %s: %w", name, err)
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

// First is the first event on a subject that is not rejected: what has been said there stands, whoever says otherwise
// later.
func (c *Conn) First(ctx context.Context, stream, subject string) (*pb.Event, error) {
	m, _, err := c.first(ctx, stream, subject)
	if err != nil {
		return nil, err
	}
	return m.Event(ctx)
}

// first is the message of First, and the last sequence that was seen on the way to it.
func (c *Conn) first(ctx context.Context, stream, subject string) (m *Message, last uint64, err error) {
	for {
		if m, err = c.next(ctx, stream, subject, last+1); err != nil {
			return nil, last, err
		}
		last = m.Seq
		if _, err := m.Event(ctx); !errors.Is(err, ErrRejected) {
			return m, last, err
		}
	}
}

// next is the first message on a subject at or after a sequence.
func (c *Conn) next(ctx context.Context, stream, subject string, seq uint64) (*Message, error) {
	return c.get(ctx, stream, func(ctx context.Context, s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject))
	})
}

// catchUp is how often a read is repeated of what must be there: a replica that lags may not have it yet.
const catchUp = 4

// present reads what the server has just said is there.
func (c *Conn) present(ctx context.Context, read func() (*Message, error)) (m *Message, err error) {
	for attempt := range catchUp {
		if m, err = read(); !errors.Is(err, ErrNotFound) {
			return m, err
		}
		if waitErr := wait(ctx, backoff(attempt)); waitErr != nil {
			return nil, waitErr
		}
	}
	return m, err
}

func (c *Conn) get(ctx context.Context, name string, get func(context.Context, jetstream.Stream) (*jetstream.RawStreamMsg, error)) (*Message, error) {
	s, err := c.stream(ctx, name)
	if err != nil {
		return nil, err
	}
	var raw *jetstream.RawStreamMsg
	err = c.retry(ctx, func(ctx context.Context) error {
		raw, err = get(ctx, s)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("read from %s: %w", name, err)
	}
	return &Message{Subject: raw.Subject, Seq: raw.Sequence, Time: raw.Time, Data: raw.Data, header: raw.Header, conn: c}, nil
}

// Purge removes what matches the filter.
func (c *Conn) Purge(ctx context.Context, stream, filter string) error {
	s, err := c.stream(ctx, stream)
	if err != nil {
		return err
	}
	err = c.retry(ctx, func(ctx context.Context) error { return s.Purge(ctx, jetstream.WithPurgeSubject(filter)) })
	if err != nil {
		return fmt.Errorf("purge %s of %s: %w", filter, stream, err)
	}
	return nil
}

// Delete removes one message; one that is gone is no error.
func (c *Conn) Delete(ctx context.Context, stream string, seq uint64) error {
	s, err := c.stream(ctx, stream)
	if err != nil {
		return err
	}
	err = c.retry(ctx, func(ctx context.Context) error { return s.DeleteMsg(ctx, seq) })
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return fmt.Errorf("delete message %d of %s: %w", seq, stream, err)
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
	consumer, err := c.consumer(ctx, s)
	if err != nil {
		return Depth{}, fmt.Errorf("look at %s/%s: %w", s.Stream, s.Consumer, err)
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
	err := c.retry(ctx, func(ctx context.Context) error {
		all = nil
		list := c.js.ListStreams(ctx)
		for info := range list.Info() {
			all = append(all, StreamState{
				Name: info.Config.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes,
				Consumers: info.State.Consumers,
			})
		}
		return list.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	return all, nil
}

// AccountFree is how many bytes of stream storage the account has left, by one copy of each; -1 if it has no limit.
func (c *Conn) AccountFree(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := c.js.AccountInfo(ctx)
	if err != nil {
		return -1, fmt.Errorf("ask for the account's limits: %w", c.explain(err))
	}
	tier := info.Tier
	if named, ok := info.Tiers[fmt.Sprintf("R%d", c.cfg.Replicas)]; ok {
		tier = named
	}
	if tier.Limits.MaxStore < 0 {
		return -1, nil
	}
	return (tier.Limits.MaxStore - int64(tier.Store)) / int64(max(c.cfg.Replicas, 1)), nil
}
