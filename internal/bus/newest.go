package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// newest is the sequence of the newest message that matches one of the filters, 0 if there is none. The stream's leader
// alone answers this request (nats-server, STREAM.MSG.GET); the client's own way to ask goes to any member, which may lag.
func (c *Conn) newest(ctx context.Context, stream string, filters []string) (newest uint64, err error) {
	if len(filters) == 0 {
		filters = []string{">"}
	}
	for _, filter := range filters {
		var seq uint64
		err := c.retry(ctx, func(ctx context.Context) error {
			seq, err = c.newestOnce(ctx, stream, filter)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("ask for the newest message of %s: %w", stream, err)
		}
		newest = max(newest, seq)
	}
	return newest, nil
}

func (c *Conn) newestOnce(ctx context.Context, stream, filter string) (uint64, error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": filter})
	if err != nil {
		return 0, err
	}
	reply, err := c.nc.RequestWithContext(ctx, api("STREAM.MSG.GET", stream), request)
	if err != nil {
		return 0, err
	}
	var said struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq uint64 `json:"seq"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &said); err != nil {
		return 0, fmt.Errorf("read the server's answer: %w", err)
	}
	switch {
	case said.Error == nil:
		return said.Message.Seq, nil
	case errors.Is(said.Error, jetstream.ErrMsgNotFound):
		return 0, nil
	}
	return 0, said.Error
}
