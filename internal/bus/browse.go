package bus

import (
	"context"
	"errors"
	"iter"
)

// Browse yields the messages of a stream that match filter, one request each, without a consumer. It is the only
// way to look into a work queue: a consumer there would take the messages from the workers.
func (c *Conn) Browse(ctx context.Context, stream, filter string) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for seq := uint64(1); ; {
			m, err := c.next(ctx, stream, filter, seq)
			if errors.Is(err, ErrNotFound) {
				return
			}
			if !yield(m, err) || err != nil {
				return
			}
			seq = m.Seq + 1
		}
	}
}
