package bus

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLeaseLost is the cause of the end of a leader's context.
var ErrLeaseLost = errors.New("the lease was lost")

// Elect runs lead whenever this process holds the lease, until ctx ends or lead fails. The fence is the revision of
// the lease: it grows with every election. A lease is no lock; writes that matter are compare-and-swap.
func (c *Conn) Elect(ctx context.Context, name string, lead func(ctx context.Context, fence uint64) error) error {
	kv := c.KV("leases")
	waiting := false
	for ctx.Err() == nil {
		fence, err := kv.Create(ctx, name, []byte(c.producer))
		if err == nil {
			waiting = false
			if err := c.hold(ctx, kv, name, fence, lead); err != nil && !errors.Is(err, ErrLeaseLost) {
				return err
			}
			continue
		}
		if errors.Is(err, ErrConflict) && !waiting {
			c.log.Info("another process leads; waiting for its lease", "lease", name)
			waiting = true
		}
		if wait(ctx, c.cfg.LeaseTTL/9) != nil {
			break
		}
	}
	return nil
}

// hold leads while the lease can be renewed, and gives it back at the end so that the next one need not wait.
func (c *Conn) hold(ctx context.Context, kv *KV, name string, fence uint64, lead func(context.Context, uint64) error) error {
	leading, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	renewed := make(chan struct{})
	revision := fence
	go func() {
		defer close(renewed)
		revision = c.renew(leading, kv, name, fence, lose)
	}()
	err := lead(leading, fence)
	cause := context.Cause(leading)
	lose(nil)
	<-renewed
	if errors.Is(cause, ErrLeaseLost) {
		c.log.Warn("stopped leading", "lease", name, "reason", cause)
		return cause
	}
	c.giveUp(ctx, kv, name, revision)
	if err != nil {
		return fmt.Errorf("leading %s: %w", name, err)
	}
	return nil
}

// renew swaps the lease until ctx ends, and ends it with ErrLeaseLost when that fails too long.
func (c *Conn) renew(ctx context.Context, kv *KV, name string, revision uint64, lose context.CancelCauseFunc) uint64 {
	last := time.Now()
	for wait(ctx, c.cfg.LeaseTTL/3) == nil {
		try, cancel := context.WithTimeout(ctx, c.cfg.LeaseTTL/3)
		next, err := kv.Update(try, name, []byte(c.producer), revision)
		cancel()
		switch {
		case err == nil:
			revision, last = next, time.Now()
		case errors.Is(err, ErrConflict):
			// Our own renewal whose reply was lost looks the same; it stands under our name.
			if value, standing, err := kv.Get(ctx, name); err == nil && string(value) == c.producer && standing > revision {
				revision, last = standing, time.Now()
				continue
			}
			lose(fmt.Errorf("%w: %w", ErrLeaseLost, err))
			return 0
		case time.Since(last) > c.cfg.LeaseTTL*3/4 && ctx.Err() == nil:
			lose(fmt.Errorf("%w: not renewed for %s: %w", ErrLeaseLost, time.Since(last).Round(time.Second), err))
			return 0
		}
	}
	return revision
}

func (c *Conn) giveUp(ctx context.Context, kv *KV, name string, revision uint64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if value, standing, err := kv.Get(ctx, name); err != nil || string(value) != c.producer || standing < revision {
		return
	}
	if err := kv.Delete(ctx, name); err != nil {
		c.log.Warn("lease not given back; it expires by itself", "lease", name, "error", err)
	}
}
