package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Codes of the server that nats.go has no name for (nats-server, server/errors.json).
const (
	// codeStoreFailed is several refusals; its description tells which.
	codeStoreFailed          jetstream.ErrorCode = 10077
	codeInsufficientResource jetstream.ErrorCode = 10023
	codeStorageExceeded      jetstream.ErrorCode = 10047

	// subjectTaken is the description of codeStoreFailed where a subject takes one message only.
	subjectTaken = "maximum messages per subject exceeded"
)

// Ack says where a message is.
type Ack struct {
	Seq uint64
	// Existing: it was there already; Conflict: with another content, which stands.
	Existing, Conflict bool
}

// Publish writes an event and waits for its acknowledgement. It fills in what the envelope lacks; an id made here is
// the subject, and then the event is the only one there for ever: one who publishes several on a subject sets it. It is
// no error that it is there.
func (c *Conn) Publish(ctx context.Context, subject string, ev *pb.Event) (Ack, error) {
	s, err := ParseSubject(subject)
	if err != nil {
		return Ack{}, fmt.Errorf("publish: %w", err)
	}
	c.fill(subject, ev)
	msg, err := c.encode(ctx, subject, ev)
	if err != nil {
		return Ack{}, err
	}
	f := families[s.Family]
	if !f.once && ev.GetId() == idOf(subject) {
		return c.publishFact(ctx, f.stream, msg)
	}
	ack, err := c.publish(ctx, msg)
	switch {
	case isSubjectTaken(err), err == nil && ack.Duplicate && f.once:
		return c.existing(ctx, msg, func() (*Message, error) { return c.Last(ctx, f.stream, subject) })
	case err != nil:
		return Ack{}, fmt.Errorf("publish to %s: %w", subject, err)
	}
	return Ack{Seq: ack.Sequence, Existing: ack.Duplicate}, nil
}

// publishFact writes what its subject names once, to a stream that would take more: the window of message ids is hours. What
// is there and is rejected by every reader is not in its way.
func (c *Conn) publishFact(ctx context.Context, stream string, msg *nats.Msg) (Ack, error) {
	last := uint64(0)
	first := func() (m *Message, err error) {
		m, last, err = c.first(ctx, stream, msg.Subject)
		return m, err
	}
	for {
		ack, err := c.publish(ctx, msg, jetstream.WithExpectLastSequencePerSubject(last))
		if err == nil && !ack.Duplicate {
			return Ack{Seq: ack.Sequence}, nil
		}
		if err != nil && !isWrongSequence(err) {
			return Ack{}, fmt.Errorf("publish to %s: %w", msg.Subject, err)
		}
		before := last
		if _, err := c.present(ctx, first); !errors.Is(err, ErrNotFound) || last == before {
			return c.existing(ctx, msg, first)
		}
	}
}

// PublishTask puts a task on the queue, where it is alone while it is outstanding.
func (c *Conn) PublishTask(ctx context.Context, run string, generation int, t *pb.Task) error {
	subject := TaskSubject(t.GetKind(), run, generation, t.GetId())
	_, err := c.Publish(ctx, subject, &pb.Event{Run: run, Generation: int32(generation), Body: &pb.Event_Task{Task: t}})
	return err
}

// publish tries until the server answers. A task that is gone was done, and a dead letter is told by a number that never
// comes again; anything else that is gone was purged, and is written again.
func (c *Conn) publish(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := c.send(ctx, msg, opts)
	if err != nil || !ack.Duplicate || ack.Stream == Tasks || ack.Stream == Dead {
		return ack, err
	}
	return c.republished(ctx, msg, ack, opts)
}

// send tries until the server answers; the message's id makes trying again safe.
func (c *Conn) send(ctx context.Context, msg *nats.Msg, opts []jetstream.PublishOpt) (ack *jetstream.PubAck, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		ack, err = c.publishOnce(ctx, msg, opts)
		return err
	})
	return ack, err
}

func (c *Conn) publishOnce(ctx context.Context, msg *nats.Msg, opts []jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ctx, unwatch := c.denials.watch(ctx, msg.Subject)
	defer unwatch()
	ack, err := c.js.PublishMsg(ctx, msg, opts...)
	switch {
	case err == nil:
		return ack, nil
	case isFull(err):
		return nil, fmt.Errorf("%w: %w; free space or raise the limit, then it goes on", ErrStorage, err)
	case errors.Is(context.Cause(ctx), ErrDenied):
		return nil, c.blame(context.Cause(ctx))
	case errors.As(context.Cause(ctx), new(violation)): // of another request: this one's subject would be in it
		return nil, fmt.Errorf("cut off with what was not permitted: %w", nats.ErrTimeout)
	}
	return nil, err
}

// isSubjectTaken: the subject takes one message, and has it.
func isSubjectTaken(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeStoreFailed && api.Description == subjectTaken
}

// isFull: the server's store, or a stream with DiscardNew, is at its limit.
func isFull(err error) bool {
	return isCode(err, codeInsufficientResource) || isCode(err, codeStorageExceeded) || isCode(err, codeStoreFailed) && !isSubjectTaken(err)
}

// existing compares what stands on a subject with what we wanted to write.
func (c *Conn) existing(ctx context.Context, msg *nats.Msg, read func() (*Message, error)) (Ack, error) {
	standing, err := c.present(ctx, read)
	if errors.Is(err, ErrNotFound) { // a task that was finished between the two requests
		return Ack{Existing: true}, nil
	}
	if err != nil {
		return Ack{}, fmt.Errorf("read what stands on %s: %w", msg.Subject, err)
	}
	ack := Ack{Seq: standing.Seq, Existing: true}
	content, err := standing.content(ctx)
	if err != nil && !errors.Is(err, ErrRejected) { // what is no event stands as any other content does
		return Ack{}, fmt.Errorf("read what stands on %s: %w", msg.Subject, err)
	}
	if content != msg.Header[HeaderContent][0] {
		ack.Conflict = true
		c.metrics.conflicts.Inc()
		c.log.Warn("conflict: another content stands; it is kept", "subject", msg.Subject, "seq", standing.Seq)
	}
	return ack, nil
}
