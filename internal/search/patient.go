package search

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const (
	tries      = 4
	firstPause = 250 * time.Millisecond // before the second try; doubles
)

// asker asks a server once. wait is how long the server asks to be left alone, if it does. An error may be another the
// next time, unless it is a refusal.
type asker interface {
	ask(ctx context.Context, query string, k int) (results []*pb.SearchResult, wait time.Duration, err error)
	close() error
}

// patient asks again what may pass, within the time of a search.
type patient struct {
	asker

	name    string // what errors call the server
	timeout time.Duration
}

// Close frees what the asker has.
func (p *patient) Close() error { return p.close() }

// Search asks the server until it answers, refuses, or the time is over.
func (p *patient) Search(ctx context.Context, query string, k int) ([]*pb.SearchResult, error) {
	query = strings.TrimSpace(strings.ToValidUTF8(query, " "))
	if query == "" || k < 1 {
		return nil, nil
	}
	begin := time.Now()
	timed, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	for asked, failed := 0, 0; ; asked++ {
		results, wait, err := p.ask(timed, query, k)
		if err == nil {
			return results[:min(len(results), k)], nil
		}
		if wait > 0 {
			err = fmt.Errorf("%w; it asks to be left alone for %s, and search.timeout is %s", err, wait.Round(time.Millisecond), p.timeout)
		} else {
			failed++
			wait = backoff(failed)
		}
		again := failed < tries && !errors.As(err, new(refusal)) && sleep(timed, wait)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !again:
			return nil, &Error{Away: isAway(err), Err: fmt.Errorf("%s: %w (%d tries, %s); start it or correct search.url, the run goes on by itself",
				p.name, err, asked+1, time.Since(begin).Round(time.Millisecond))}
		}
	}
}

// isAway: the server is not there, or has no capacity. A reply that cannot be read is neither: the URL may be another's.
func isAway(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.As(err, new(busy)) || errors.Is(err, errQuiet) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}

// backoff is the pause after so many failures.
func backoff(failed int) time.Duration {
	d := firstPause << (failed - 1)
	return d/2 + rand.N(d/2)
}

// sleep waits; false, at once, if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// refusal is a reply that would be the same next time.
type refusal struct{ status, text string }

func (r refusal) Error() string { return r.status + ": " + r.text }
