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

// blame says whose credentials were not good enough.
func (c *Conn) blame(err error) error {
	return fmt.Errorf("%w; these are the credentials that role %s was given (bus.nkey_file)", err, c.role)
}

// denialRelevance is how long a violation may explain a timeout: the longest that a request takes.
const denialRelevance = requestTimeout + attemptTimeout

// denials are the server's reports that something was not permitted. NATS sends them beside the request, which itself
// sees nothing but silence until its deadline.
type denials struct {
	waiting sync.Map // subject -> context.CancelCauseFunc of the publish in flight
	trying  sync.Map // *byte, one for each -> context.CancelCauseFunc of any attempt in flight

	mu   sync.Mutex // guards last, at and deaf
	last error
	at   time.Time
	deaf error // answers do not reach us: these are another role's credentials
}

// violation is why an attempt was cut short: something was not permitted, perhaps this.
type violation struct{ error }

func (v violation) Unwrap() error { return v.error }

// about is what two attempts of one request have in common: a consumer made for reading has another name each time,
// behind its stream's in `$JS.API.CONSUMER.CREATE.<stream>.<name>`.
func (v violation) about() string {
	tokens := strings.Split(v.Error(), ".")
	return strings.Join(tokens[:min(len(tokens), 5)], ".")
}

// note keeps the violation, and ends the publish that it is about. Of other requests the report does not say which it
// is about: all in flight are ended, and those that are permitted succeed when they are tried again.
func (d *denials) note(reason error) {
	d.mu.Lock()
	d.last, d.at = reason, time.Now()
	if strings.Contains(reason.Error(), `Subscription to "_INBOX`) {
		d.deaf = fmt.Errorf("%w: %w: it is another role's", ErrDenied, reason)
	}
	d.mu.Unlock()
	text := reason.Error()
	d.waiting.Range(func(subject, cancel any) bool {
		if strings.Contains(text, strconv.Quote(subject.(string))) {
			cancel.(context.CancelCauseFunc)(fmt.Errorf("%w: %w", ErrDenied, reason))
		}
		return true
	})
	d.trying.Range(func(_, cancel any) bool {
		cancel.(context.CancelCauseFunc)(violation{reason})
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

// deafness is why no request can be answered; the next connection may be of other credentials.
func (d *denials) deafness() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.deaf
}

func (d *denials) reconnected() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = nil
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

// cut ends the returned context with a violation when the server denies anything.
func (d *denials) cut(ctx context.Context) (watched context.Context, uncut func()) {
	watched, cancel := context.WithCancelCause(ctx)
	key := new(byte)
	d.trying.Store(key, cancel)
	return watched, func() {
		d.trying.Delete(key)
		cancel(nil)
	}
}
