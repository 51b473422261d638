package bus

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// ErrLeaseLost is the cause of the end of a leader's context.
var ErrLeaseLost = errors.New("the lease was lost")

// Elect runs lead whenever this process holds the lease, until ctx ends or lead fails. The fence is the revision of
// the lease: it grows with every election. A lease is no lock; writes that matter are compare-and-swap.
func (c *Conn) Elect(ctx context.Context, name string, lead func(ctx context.Context, fence uint64) error) error {
	l := &lease{conn: c, kv: c.KV("leases"), name: name, ttl: c.cfg.LeaseTTL, holder: []byte(c.producer + "/" + rand.Text()[:8])}
	for waiting := false; ctx.Err() == nil; {
		asked := time.Now()
		fence, err := l.kv.Create(ctx, name, l.holder)
		if err == nil {
			waiting = false
			if err := l.hold(ctx, fence, asked, lead); err != nil && !errors.Is(err, ErrLeaseLost) {
				return err
			}
			continue
		}
		if closed := c.isClosed(); closed != nil {
			return fmt.Errorf("elect %s: %w", name, closed)
		}
		if errors.Is(err, ErrDenied) {
			return fmt.Errorf("elect %s: %w", name, err)
		}
		if !waiting {
			c.log.Info("waiting for the lease", "lease", name, "reason", err)
			waiting = true
		}
		if wait(ctx, l.ttl/9) != nil {
			break
		}
	}
	return nil
}

// lease is one process's claim to lead.
type lease struct {
	conn   *Conn
	kv     *KV
	name   string
	ttl    time.Duration
	holder []byte // the value of the key while we hold it
}

// hold leads while the lease can be renewed, and gives it back at the end so that the next one need not wait.
func (l *lease) hold(ctx context.Context, fence uint64, since time.Time, lead func(context.Context, uint64) error) error {
	leading, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		if err := l.renew(leading, fence, since); err != nil {
			lose(fmt.Errorf("%w: %w", ErrLeaseLost, err))
		}
	}()
	err := lead(leading, fence)
	cause := context.Cause(leading)
	lose(nil)
	<-renewed
	if errors.Is(cause, ErrLeaseLost) {
		l.conn.log.Warn("stopped leading", "lease", l.name, "reason", cause)
		return cause
	}
	l.giveBack(ctx)
	if err != nil {
		return fmt.Errorf("lead %s: %w", l.name, err)
	}
	return nil
}

// renew swaps the lease every third of its life until ctx ends (nil). It gives up at three quarters: whoever leads must
// have stopped when the server lets somebody else begin.
func (l *lease) renew(ctx context.Context, revision uint64, since time.Time) error {
	for wait(ctx, l.ttl/3) == nil {
		asked, end := time.Now(), since.Add(l.ttl*3/4)
		try, cancel := context.WithDeadline(ctx, end)
		next, err := l.kv.Update(try, l.name, l.holder, revision)
		cancel()
		switch {
		case err == nil:
			revision, since = next, asked
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrConflict) || !time.Now().Before(end):
			return err
		}
	}
	return nil
}

// giveBack deletes the lease if it is still ours.
func (l *lease) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.ttl/3)
	defer cancel()
	value, revision, err := l.kv.Get(ctx, l.name)
	if err == nil && bytes.Equal(value, l.holder) {
		err = l.kv.deleteAt(ctx, l.name, revision)
	}
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict) {
		l.conn.log.Warn("lease not given back; it expires by itself", "lease", l.name, "error", err)
	}
}
