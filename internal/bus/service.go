package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

const (
	answerTimeout = 30 * time.Second
	// codeRefused goes with every error; the text says what is wrong.
	codeRefused = "400"
)

// Serve answers requests on ratchet.v1.api.<endpoint> until ctx ends, as a NATS micro service (`nats micro ls`).
func (c *Conn) Serve(ctx context.Context, name, version string, endpoints map[string]func(context.Context, []byte) ([]byte, error)) error {
	service, err := micro.AddService(c.nc, micro.Config{Name: name, Version: version, Description: "Ratchet " + name})
	if err != nil {
		return fmt.Errorf("serve %s: %w", name, err)
	}
	for endpoint, answer := range endpoints {
		handler := micro.HandlerFunc(func(r micro.Request) { c.answer(ctx, r, answer) })
		if err := service.AddEndpoint(endpoint, handler, micro.WithEndpointSubject(APISubject(endpoint))); err != nil {
			return fmt.Errorf("serve %s: %w", endpoint, err)
		}
	}
	<-ctx.Done()
	if err := service.Stop(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		c.log.Warn("stop serving", "service", name, "error", err)
	}
	return nil
}

func (c *Conn) answer(ctx context.Context, r micro.Request, answer func(context.Context, []byte) ([]byte, error)) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	out, err := c.answered(ctx, r, answer)
	if err != nil {
		err = r.Error(codeRefused, err.Error(), nil)
	} else {
		err = r.Respond(out)
	}
	if err != nil {
		c.log.Warn("answer", "subject", r.Subject(), "error", err)
	}
}

// answered makes the answer; a panic is the request's error, not the service's end.
func (c *Conn) answered(ctx context.Context, r micro.Request, answer func(context.Context, []byte) ([]byte, error)) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("request panicked", "subject", r.Subject(), "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error: %v; see the coordinator's log", p)
		}
	}()
	return answer(ctx, r.Data())
}

// RequestError is what the service answered in place of a result.
type RequestError struct{ Text string }

func (e *RequestError) Error() string { return e.Text }

// ErrNobody means: nobody serves this request.
var ErrNobody = errors.New("no coordinator answers")

// Request asks the coordinator, again if its answer does not come: every request may be done twice.
func (c *Conn) Request(ctx context.Context, endpoint string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var reply *nats.Msg
	nobody := false
	err := c.retry(ctx, func(ctx context.Context) (err error) {
		reply, err = c.nc.RequestWithContext(ctx, APISubject(endpoint), in)
		if nobody = errors.Is(err, nats.ErrNoResponders); nobody {
			return nil // that is an answer
		}
		return err
	})
	switch {
	case nobody:
		return nil, fmt.Errorf("%w at %s; start one (`ratchet up`, or bin/coordinator)", ErrNobody, c.cfg.URL)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("ask the coordinator to %s: it is there but did not answer in time; see its log: %w", endpoint, c.explain(err))
	case err != nil:
		return nil, fmt.Errorf("ask the coordinator to %s: %w", endpoint, c.explain(err))
	case reply.Header.Get(micro.ErrorCodeHeader) != "":
		return nil, &RequestError{Text: reply.Header.Get(micro.ErrorHeader)}
	}
	return reply.Data, nil
}
