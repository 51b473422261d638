package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrDenied means: this role's credentials do not permit it.
var ErrDenied = errors.New("not permitted")

// denialRelevance is how long a violation may explain a timeout: the longest that a request takes.
const denialRelevance = requestTimeout + attemptTimeout

// denials are the server's reports that something was not permitted. NATS sends them beside the request, which itself
// sees nothing but silence until its deadline.
type denials struct {
	waiting sync.Map // subject -> context.CancelCauseFunc of the publish in flight

	mu   sync.Mutex // guards last and at
	last error
	at   time.Time
}

// note keeps the violation, and ends the publish that it is about.
func (d *denials) note(violation error) {
	d.mu.Lock()
	d.last, d.at = violation, time.Now()
	d.mu.Unlock()
	text := violation.Error()
	d.waiting.Range(func(subject, cancel any) bool {
		if strings.Contains(text, strconv.Quote(subject.(string))) {
			cancel.(context.CancelCauseFunc)(fmt.Errorf("%w: %w", ErrDenied, violation))
		}
		return true
	})
}

// recent is the last violation, if it is young enough to explain a timeout.
func (d *denials) recent() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.at) > denialRelevance {
		return nil
	}
	return d.last
}

// watch ends the returned context with ErrDenied when the server denies a publish to subject.
func (d *denials) watch(ctx context.Context, subject string) (watched context.Context, unwatch func()) {
	watched, cancel := context.WithCancelCause(ctx)
	d.waiting.Store(subject, cancel)
	return watched, func() {
		d.waiting.Delete(subject)
		cancel(nil)
	}
}
