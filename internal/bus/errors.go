package bus

import (
	"errors"
	"slices"
	"time"

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

// A handler's error says what happens next. A plain error: again after a growing delay, and after
// bus.max_deliver deliveries a dead letter. An outage (IsOutage): later. One that is ErrFenced: nothing; somebody else has
// the message.

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent means: never again; a dead letter at once.
func Permanent(err error) error { return permanentError{err} }

// IsPermanent says whether err, or what it wraps, is Permanent.
func IsPermanent(err error) bool { return errors.As(err, new(permanentError)) }

type laterError struct {
	error
	after time.Duration
}

func (e laterError) Unwrap() error { return e.error }

// Later means: again after d, by the same worker, which keeps the message meanwhile; no attempt is counted. A worker
// that stops hands it back.
func Later(d time.Duration, err error) error { return laterError{err, d} }

// IsOutage says whether err, or something that it wraps, says of itself that it is an outage: an endpoint, a search service
// or a blob store that does not answer or has no capacity. That is nobody's attempt: a handler that returns it is asked again
// after a while, as after Later.
func IsOutage(err error) bool {
	switch e := err.(type) { //nolint:errorlint // the whole tree is walked
	case nil:
		return false
	case interface{ Outage() bool }:
		return e.Outage()
	case interface{ Unwrap() error }:
		return IsOutage(e.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), IsOutage)
	}
	return false
}

// outagePause is how long a message is left alone when what it needs does not answer.
const outagePause = 5 * time.Second

// putOff makes Later of an outage.
func putOff(err error) error {
	if errors.As(err, new(laterError)) || IsPermanent(err) || errors.Is(err, ErrFenced) || errors.As(err, new(stopError)) || !IsOutage(err) {
		return err
	}
	return Later(outagePause, err)
}

type stopError struct{ error }

func (e stopError) Unwrap() error { return e.error }

// Stop means: the process cannot go on; the message is redelivered to somebody else.
func Stop(err error) error { return stopError{err} }

// classified is an error that knows its failure class.
type classified interface{ FailureClass() pb.FailureClass }

func classOf(err error) pb.FailureClass {
	var c classified
	if errors.As(err, &c) {
		return c.FailureClass()
	}
	return pb.FailureClass_FAILURE_CLASS_OTHER
}

type classError struct {
	error
	class pb.FailureClass
}

func (e classError) Unwrap() error                 { return e.error }
func (e classError) FailureClass() pb.FailureClass { return e.class }

// WithClass gives an error the failure class that its dead letter would carry.
func WithClass(class pb.FailureClass, err error) error { return classError{err, class} }
