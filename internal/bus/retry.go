package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// attemptTimeout bounds one attempt; a reply that was lost costs it. A deadline that is near is shared by several.
	attemptTimeout = 5 * time.Second
	minAttempt     = 100 * time.Millisecond
	// attempts outlast the election of a new leader and the restart of a server.
	attempts     = 12
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 3 * time.Second
	// proof is how often in a row the same refusal must cut a request off to be about this one, and not about another that
	// is refused again and again beside it.
	proof = 3
)

// retry tries until the server answers: no answer is no refusal. What is tried must be safe to do twice.
func (c *Conn) retry(ctx context.Context, try func(context.Context) error) error {
	var err error
	denied, times := "", 0
	for attempt := range attempts {
		if attempt > 0 {
			if waitErr := wait(ctx, backoff(attempt)); waitErr != nil {
				return fmt.Errorf("%w (last answer: %w)", waitErr, err)
			}
		}
		err = c.attempt(ctx, try)
		if deaf := c.denials.deafness(); deaf != nil && err != nil {
			return c.blame(deaf)
		}
		if cut := (violation{}); errors.As(err, &cut) {
			if times++; cut.about() != denied {
				denied, times = cut.about(), 1
			}
			if times == proof {
				return c.blame(fmt.Errorf("%w: %w", ErrDenied, cut))
			}
			continue
		}
		switch {
		case err == nil || !isTransient(err):
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("%w (last answer: %w)", context.Cause(ctx), c.explain(err))
		}
	}
	return c.explain(err)
}

// attempt is one try. It ends with its connection, because no reply comes on another.
func (c *Conn) attempt(ctx context.Context, try func(context.Context) error) error {
	if deaf := c.denials.deafness(); deaf != nil {
		return deaf
	}
	ctx, cancel := context.WithTimeout(ctx, attemptLimit(ctx))
	defer cancel()
	link := c.link.context()
	defer context.AfterFunc(link, cancel)()
	watched, uncut := c.denials.cut(ctx)
	defer uncut()
	err := try(watched)
	if errors.Is(err, context.Canceled) && link.Err() != nil {
		return context.Cause(link)
	}
	if cut := (violation{}); errors.Is(err, context.Canceled) && errors.As(context.Cause(watched), &cut) {
		return cut
	}
	return err
}

// link is the life of the connection to one server, from one reconnection to the next.
type link struct {
	mu     sync.Mutex // guards ctx and cancel
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (l *link) context() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil {
		l.ctx, l.cancel = context.WithCancelCause(context.Background())
	}
	return l.ctx
}

// broken ends what waits for a reply on this link.
func (l *link) broken() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx != nil {
		l.cancel(nats.ErrDisconnected)
		l.ctx = nil
	}
}

func attemptLimit(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return attemptTimeout
	}
	return min(attemptTimeout, max(time.Until(deadline)/3, minAttempt))
}

// isTransient: the server did not answer, or cannot just now.
func isTransient(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == 503 && api.ErrorCode != codeStoreFailed // which is a refusal for good
	}
	return isTimeout(err) || errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrDisconnected) ||
		errors.Is(err, nats.ErrReconnectBufExceeded)
}

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, jetstream.ErrNoStreamResponse)
}

func isCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}

// backoff doubles from firstBackoff to maxBackoff, half of it jitter.
func backoff(attempt int) time.Duration {
	return jittered(min(firstBackoff<<min(attempt, 10), maxBackoff))
}

func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
