package llm

import (
	"context"
	"errors"
	"sync"
	"time"
)

// circuit opens after some failures in a row, and closes when a probe or a call succeeds. A probe is no proof: the
// first failure after it opens the circuit again.
type circuit struct {
	openAfter int
	openFor   time.Duration
	changed   func(open bool) // called with mu held

	mu       sync.Mutex // guards what follows
	failures int
	closing  chan struct{} // not nil while the circuit is open; closed when it closes
	nextTry  time.Time     // of a probe
}

func newCircuit(openAfter int, openFor time.Duration, changed func(open bool)) *circuit {
	return &circuit{openAfter: max(openAfter, 1), openFor: openFor, changed: changed}
}

// note counts a call's outcome. What the server refuses for a reason is an answer, and so is an overflow of either side.
func (c *circuit) note(err error) {
	var failed *Error
	bad := errors.As(err, &failed) && failed.Kind != KindRequest && failed.Kind != KindLong
	c.mu.Lock()
	defer c.mu.Unlock()
	if !bad {
		c.failures = 0
		c.close()
		return
	}
	if c.failures++; c.failures >= c.openAfter && c.closing == nil {
		c.closing, c.nextTry = make(chan struct{}), time.Now().Add(c.openFor)
		c.changed(true)
	}
}

// close wants mu held.
func (c *circuit) close() {
	if c.closing != nil {
		close(c.closing)
		c.closing = nil
		c.changed(false)
	}
}

func (c *circuit) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing != nil
}

// wait returns when the circuit is closed, or ctx ends. However many wait, one probes at a time.
func (c *circuit) wait(ctx context.Context, probe func() error) error {
	for {
		closing, mine, delay := c.turn()
		if closing == nil {
			return nil
		}
		if mine {
			if probe() == nil {
				c.probed()
			}
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-closing:
		case <-time.After(delay):
		}
	}
}

// turn says whether the circuit is open, and whether the caller is to probe now, else when to ask again.
func (c *circuit) turn() (closing <-chan struct{}, mine bool, delay time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delay = time.Until(c.nextTry)
	if mine = delay <= 0; mine {
		c.nextTry = time.Now().Add(c.openFor)
	}
	return c.closing, mine, delay
}

func (c *circuit) probed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = c.openAfter - 1
	c.close()
}
