package llm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
)

const (
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 10 * time.Second
	longestWish  = 2 * time.Minute // a longer Retry-After ends the tries
)

// try makes one request as often as is worth it.
func (c *Client) try(ctx context.Context, e *endpoint, r Request, n int, seed int64, most int) (Response, error) {
	begin := time.Now()
	for tries := 1; ; tries++ {
		out, err := c.speak(ctx, e, r, n, seed, c.cfg.Wait-time.Since(begin))
		if err == nil {
			return out, nil
		}
		if isCanceled(ctx) {
			return out, err
		}
		err = attempted(err, tries, time.Since(begin))
		if ctx.Err() != nil || !c.again(ctx, err, tries, most, c.cfg.Wait-time.Since(begin)) {
			return out, err
		}
	}
}

// speak makes one request in the endpoint's dialect.
func (c *Client) speak(ctx context.Context, e *endpoint, r Request, n int, seed int64, left time.Duration) (Response, error) {
	d := c.dialectOf(ctx, e)
	if r.Grammar != "" && d.constrain == nil {
		return Response{}, e.unconstrained()
	}
	data, err := encode(r, n, seed, d)
	if err != nil {
		return Response{}, fmt.Errorf("encode request: %w", err)
	}
	return c.once(ctx, e, r, data, left)
}

// attempted notes in an endpoint's failure how much was tried.
func attempted(err error, tries int, elapsed time.Duration) error {
	var failed *Error
	if errors.As(err, &failed) {
		failed.Tries, failed.Elapsed = tries, elapsed
	}
	return err
}

// again waits before the next try: as long as the server wishes, else a doubling time with jitter. False: no more tries.
func (c *Client) again(ctx context.Context, err error, tries, most int, left time.Duration) bool {
	var failed *Error
	if !errors.As(err, &failed) || !failed.Temporary() || tries >= most {
		return false
	}
	pause := min(firstBackoff<<min(tries-1, 16), maxBackoff)
	pause = pause/2 + rand.N(pause/2)
	if failed.after > 0 {
		pause = failed.after
	}
	if pause > longestWish || pause > left {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// once makes one request, and tells the circuit and the metrics what came of it.
func (c *Client) once(ctx context.Context, e *endpoint, r Request, data []byte, left time.Duration) (Response, error) {
	deadline := time.Now().Add(left)
	if err := c.await(ctx, e, r.tokens(), left); err != nil {
		return Response{}, err
	}
	leave, err := e.board(ctx)
	if err != nil {
		return Response{}, err
	}
	defer leave()
	begin := time.Now()
	out, err := c.post(ctx, e, r, data, min(time.Until(deadline), c.cfg.Timeout))
	c.metrics.called(e.name, time.Since(begin), out, err)
	if !isCanceled(ctx) { // what we gave up ourselves says nothing about the endpoint
		e.circuit.note(err)
		e.paced(begin, err)
	}
	return out, err
}

// await waits until the endpoint's rate allows a call. One for which there is no time left is refused here, as the server
// would.
func (c *Client) await(ctx context.Context, e *endpoint, tokens int64, left time.Duration) error {
	for begin := time.Now(); ; {
		delay := e.pace.take(time.Now(), tokens)
		if delay <= 0 {
			return nil
		}
		if delay > left-time.Since(begin) {
			return &Error{Endpoint: e.name, Kind: KindBusy, Status: http.StatusTooManyRequests, Err: fmt.Errorf("its rate limit allows the next call in %s", delay.Round(time.Millisecond))}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(delay):
		}
	}
}

// paced learns from a call's outcome how many may be in flight.
func (e *endpoint) paced(begin time.Time, err error) {
	now := time.Now()
	var failed *Error
	switch {
	case err == nil:
		e.timed(now.Sub(begin))
		if e.pace.succeed(cap(e.flight)) {
			<-e.flight
		}
	case errors.As(err, &failed) && failed.Kind == KindBusy:
		e.pace.refuse(begin, now, failed.after, cap(e.flight), len(e.flight))
		e.shrink()
	}
}

// isCanceled: the caller gave up. A caller whose deadline passed has waited in vain, which is the endpoint's doing.
func isCanceled(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

func (c *Client) post(ctx context.Context, e *endpoint, r Request, data []byte, timeout time.Duration) (Response, error) {
	body, err := c.send(ctx, e, e.url+path(r.API), r.Affinity, data, timeout)
	if isCanceled(ctx) {
		return Response{}, context.Cause(ctx)
	}
	if errors.Is(err, ErrTooLong) {
		return Response{Calls: 1}, err // paid for
	}
	if err != nil {
		return Response{}, err
	}
	out, err := decode(body, r.Stop)
	if err != nil {
		return Response{}, &Error{Endpoint: e.name, Kind: KindGarbage, Status: http.StatusOK, Err: err}
	}
	return out, nil
}

// send posts JSON and returns the reply's body.
func (c *Client) send(ctx context.Context, e *endpoint, url, affinity string, data []byte, timeout time.Duration) ([]byte, error) {
	timed, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(timed, http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", e.name, err)
	}
	request.Header.Set("Content-Type", "application/json")
	if affinity != "" {
		request.Header.Set("X-Session-Id", affinity)
	}
	return c.do(e, request)
}

// do sends a request and reads a bounded reply.
func (c *Client) do(e *endpoint, request *http.Request) ([]byte, error) {
	if e.key != "" {
		request.Header.Set("Authorization", "Bearer "+e.key)
	}
	begin := time.Now()
	reply, err := c.http.Do(request)
	if err != nil {
		return nil, unanswered(e, err, time.Since(begin))
	}
	defer reply.Body.Close()
	e.pace.heard(reply.Header, time.Now())
	body, err := read(reply, c.cfg.MaxReply)
	body, reply.Status = config.Concealed(body, e.key), string(config.Concealed([]byte(reply.Status), e.key))
	switch {
	case isTimeout(err):
		return nil, unanswered(e, err, time.Since(begin))
	case errors.Is(err, ErrTooLong) && reply.StatusCode == http.StatusOK && isCompletion(body):
		return nil, &Error{Endpoint: e.name, Kind: KindLong, Status: reply.StatusCode, Err: err}
	case err != nil:
		return nil, &Error{Endpoint: e.name, Kind: KindGarbage, Status: reply.StatusCode, Err: err}
	case reply.StatusCode != http.StatusOK:
		return nil, refused(e.name, reply, body)
	}
	return body, nil
}

// read reads a reply of at most limit bytes, in one buffer where the server says how long it is. With ErrTooLong it
// returns the beginning.
func read(reply *http.Response, limit int64) ([]byte, error) {
	buffer := bytes.NewBuffer(make([]byte, 0, min(max(reply.ContentLength, 0), limit)+bytes.MinRead))
	n, err := io.Copy(buffer, io.LimitReader(reply.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the reply broke off after %d bytes: %w", n, err)
	case n > limit:
		return buffer.Bytes(), fmt.Errorf("%w (%d bytes)", ErrTooLong, limit)
	}
	return buffer.Bytes(), nil
}

// unanswered is a call without a reply.
func unanswered(e *endpoint, err error, elapsed time.Duration) *Error {
	if isTimeout(err) {
		return &Error{Endpoint: e.name, Kind: KindTimeout, Err: fmt.Errorf("no reply within %s: %w", elapsed.Round(time.Millisecond), bare(err))}
	}
	return &Error{Endpoint: e.name, Kind: KindDown, Err: bare(err)}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// bare drops the URL that net/http puts before an error: the Error names the endpoint.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
