package bus

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// readAhead and readAheadBytes bound what the server sends before it is asked for: a million questions' trajectories
	// are read in the memory of a few.
	readAhead      = 256
	readAheadBytes = 8 << 20
	// followPatience is how long Follow waits for a message before it asks whether there is one: see missed.
	followPatience = 5 * time.Second
	followEvery    = time.Second // after an interruption
	shutPatience   = time.Second // with a server that does not answer; it forgets the consumer by itself
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
	t, err := c.open(ctx, stream, o, *next)
	if err != nil {
		return err
	}
	defer t.shut()
	for {
		m, err := t.next(ctx, followPatience)
		if errors.Is(err, errSilent) {
			err = c.missed(ctx, stream, o.Filters, *next)
		}
		switch {
		case err != nil:
			return fmt.Errorf("follow %s: %w", stream, err)
		case m == nil || m.Seq < *next:
			continue
		}
		if err := fn(m); err != nil {
			return callbackError{err}
		}
		*next = m.Seq + 1
	}
}

// missed is errBehind if there is something to be had at or after a sequence, of which nothing was heard.
func (c *Conn) missed(ctx context.Context, stream string, filters []string, next uint64) error {
	newest, err := c.newest(ctx, stream, filters)
	if err == nil && newest >= next {
		return errBehind
	}
	return err
}
