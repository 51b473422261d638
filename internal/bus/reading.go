package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// readPatience is how long Read waits for a message before it opens the stream again; longer where that did not help.
const readPatience = 2 * time.Second

// errStopped: who reads wants no more.
var errStopped = errors.New("stopped reading")

// Read yields all messages that match one of the filters now, in order.
func (c *Conn) Read(ctx context.Context, stream string, filters ...string) iter.Seq2[*Message, error] {
	return c.ReadWith(ctx, stream, FollowOptions{Filters: filters})
}

// ReadWith is Read with the options of Follow. It goes on elsewhere when the server that it reads from fails, as long as
// that brings it further; it never ends early without an error.
func (c *Conn) ReadWith(ctx context.Context, stream string, o FollowOptions) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		r := reading{Conn: c, stream: stream, o: o, next: max(o.From, 1)}
		if err := r.run(ctx, yield); err != nil && !errors.Is(err, errStopped) {
			yield(nil, fmt.Errorf("read %s: %w", stream, err))
		}
	}
}

// reading is one Read: from next to last, which was the newest when it began.
type reading struct {
	*Conn
	stream     string
	o          FollowOptions
	next, last uint64
}

func (r *reading) run(ctx context.Context, yield func(*Message, error) bool) (err error) {
	if r.last, err = r.newest(ctx, r.stream, r.o.Filters); err != nil {
		return err
	}
	for attempt := 0; r.next <= r.last; attempt++ {
		before := r.next
		err := r.some(ctx, readPatience<<min(attempt, 3), yield)
		switch {
		case r.next > r.last:
			return nil
		case err != nil && !r.mayReadOn(ctx, err):
			return err
		case r.next > before:
			attempt = 0
		}
		behind := r.behind(ctx)
		if behind == nil {
			return nil
		}
		if attempt >= attempts || wait(ctx, backoff(attempt)) != nil {
			return cmp.Or(err, behind)
		}
		r.log.Debug("reading again", "stream", r.stream, "next", r.next, "last", r.last, "error", cmp.Or(err, behind))
	}
	return nil
}

// mayReadOn: another consumer may do better.
func (r *reading) mayReadOn(ctx context.Context, err error) bool {
	return ctx.Err() == nil && r.isClosed() == nil && !errors.Is(err, errStopped) && !errors.As(err, new(unopenedError))
}

// unopenedError: making a consumer was tried as often as anything is.
type unopenedError struct{ error }

func (e unopenedError) Unwrap() error { return e.error }

// behind is errBehind if there is more to read; it may have been purged meanwhile.
func (r *reading) behind(ctx context.Context) error {
	last, err := r.newest(ctx, r.stream, r.o.Filters)
	if err != nil {
		return err
	}
	if r.last = min(r.last, last); r.next <= r.last {
		return errBehind
	}
	return nil
}

// some yields from next on, as far as one consumer brings it.
func (r *reading) some(ctx context.Context, patience time.Duration, yield func(*Message, error) bool) error {
	t, err := r.open(ctx, r.stream, r.o, r.next)
	if err != nil {
		return unopenedError{err}
	}
	defer t.shut()
	for more := t.pending() > 0; more && r.next <= r.last; {
		m, err := t.next(ctx, patience)
		if err != nil {
			return err
		}
		more = m.Pending > 0
		if m.Seq >= r.next {
			r.next = m.Seq + 1
			if !yield(m, nil) {
				return errStopped
			}
		}
	}
	return nil
}
