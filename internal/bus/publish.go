package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

var (
	// ErrNotFound means: no such message, key or bucket entry.
	ErrNotFound = errors.New("not found")
	// ErrConflict means: a compare-and-swap lost.
	ErrConflict = errors.New("changed by somebody else")
	// ErrFenced means: somebody else has written on in this journal; this worker has lost its lease.
	ErrFenced = errors.New("fenced: another worker has gone on with this trajectory")
	// ErrStorage means: the stream or the server's store is full. Nothing was written, nothing is corrupt.
	ErrStorage = errors.New("the JetStream store is full")
)

// Codes of the server that nats.go has no name for.
const (
	codeSubjectTaken         jetstream.ErrorCode = 10077 // as description: maximum messages per subject exceeded
	codeInsufficientResource jetstream.ErrorCode = 10023
	codeStorageExceeded      jetstream.ErrorCode = 10047
)

const (
	publishTimeout  = 5 * time.Second // one attempt
	publishAttempts = 12
	publishBackoff  = 50 * time.Millisecond
	maxBackoff      = 3 * time.Second
)

// Ack says where a message is.
type Ack struct {
	Seq uint64
	// Existing: it was there already; Conflict: with another content, which stands.
	Existing, Conflict bool
}

// Publish writes an event and waits for its acknowledgement. On a stream that is written once it is no error
// that the result is there.
func (c *Conn) Publish(ctx context.Context, subject string, ev *pb.Event) (Ack, error) {
	c.fill(subject, ev)
	msg, err := c.encode(ctx, subject, ev)
	if err != nil {
		return Ack{}, err
	}
	ack, err := c.publish(ctx, msg)
	if isCode(err, codeSubjectTaken) {
		return c.existing(ctx, msg)
	}
	if err != nil {
		return Ack{}, fmt.Errorf("publish to %s: %w", subject, err)
	}
	return Ack{Seq: ack.Sequence, Existing: ack.Duplicate}, nil
}

// PublishTask puts a task on the queue, where it is alone while it is outstanding.
func (c *Conn) PublishTask(ctx context.Context, run string, generation int, t *pb.Task) error {
	subject := TaskSubject(t.GetKind(), run, generation, t.GetId())
	if _, err := ParseSubject(subject); err != nil {
		return fmt.Errorf("task %s of kind %s: %w", t.GetId(), t.GetKind(), err)
	}
	_, err := c.Publish(ctx, subject, &pb.Event{Run: run, Generation: int32(generation), Body: &pb.Event_Task{Task: t}})
	return err
}

// publish tries until the server answers: no answer is no refusal, and the message id makes trying again safe.
func (c *Conn) publish(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	var err error
	for attempt := range publishAttempts {
		if attempt > 0 {
			if waitErr := wait(ctx, backoff(attempt)); waitErr != nil {
				return nil, fmt.Errorf("%w (last answer: %w)", waitErr, err)
			}
		}
		var ack *jetstream.PubAck
		if ack, err = c.publishOnce(ctx, msg, opts); err == nil {
			return ack, nil
		}
		if !isTransient(err) {
			return nil, err
		}
	}
	return nil, c.explain(err)
}

func (c *Conn) publishOnce(ctx context.Context, msg *nats.Msg, opts []jetstream.PublishOpt) (*jetstream.PubAck, error) {
	attempt, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	ack, err := c.js.PublishMsg(attempt, msg, opts...)
	switch {
	case isCode(err, codeInsufficientResource), isCode(err, codeStorageExceeded), isStreamFull(err):
		return nil, fmt.Errorf("%w: %w; free space or raise the limit, then it goes on", ErrStorage, err)
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return ack, err
}

// isStreamFull: a stream with DiscardNew at its limit of messages or bytes.
func isStreamFull(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeSubjectTaken && api.Description != "maximum messages per subject exceeded"
}

func isCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != code {
		return false
	}
	return code != codeSubjectTaken || !isStreamFull(err)
}

// isTransient: the server did not answer, or cannot just now.
func isTransient(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == 503 && api.ErrorCode != codeSubjectTaken // which is a refusal for good
	}
	return isTimeout(err) || errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrDisconnected) ||
		errors.Is(err, nats.ErrReconnectBufExceeded)
}

// existing compares what stands on a written-once subject with what we wanted to write.
func (c *Conn) existing(ctx context.Context, msg *nats.Msg) (Ack, error) {
	name, err := c.streamOf(msg.Subject)
	if err != nil {
		return Ack{}, err
	}
	standing, err := c.Last(ctx, name, msg.Subject)
	if errors.Is(err, ErrNotFound) { // a task that was finished between the two requests
		return Ack{Existing: true}, nil
	}
	if err != nil {
		return Ack{}, fmt.Errorf("read what stands on %s: %w", msg.Subject, err)
	}
	ack := Ack{Seq: standing.Seq, Existing: true}
	if standing.Get(HeaderContent) != msg.Header[HeaderContent][0] {
		ack.Conflict = true
		c.log.Warn("result conflict: another content stands; it is kept", "subject", msg.Subject, "seq", standing.Seq)
	}
	return ack, nil
}

var streamOfFamily = map[string]string{
	familyTask: Tasks, familyStep: Steps, familyTrajectory: Trajectories, familyFeedback: Feedback, familyVerdict: Verdicts,
	familyResult: Results, familyTraining: Training, familyEval: Evals, familyRun: Runs, familyDead: Dead,
}

func (c *Conn) streamOf(subject string) (string, error) {
	s, err := ParseSubject(subject)
	if err != nil {
		return "", err
	}
	return streamOfFamily[s.Family], nil
}

func backoff(attempt int) time.Duration {
	d := min(publishBackoff<<min(attempt, 10), maxBackoff)
	return d/2 + rand.N(d/2+1)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
