package fault

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/blob"
)

// ErrInjected is what a Store answers in place of the truth.
var ErrInjected = errors.New("injected fault")

// Store is a blob store whose writes can be made to fail.
type Store struct {
	blob.Store

	trap trap[string]
}

// Arm lets the fault happen to the write after skip others whose key contains part, once.
func (s *Store) Arm(part string, skip int, k Kind) (happened <-chan struct{}) {
	return s.trap.arm(skip, k, func(key string) bool { return strings.Contains(key, part) })
}

// PutIfAbsent writes, unless it meets the fault. After a death it waits for its caller's end.
func (s *Store) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) (bool, error) {
	kind, happened, yes := s.trap.meets(key)
	if s.trap.isDead() {
		<-ctx.Done()
		return false, context.Cause(ctx)
	}
	if !yes {
		return s.Store.PutIfAbsent(ctx, key, body, size)
	}
	defer happened()
	if kind.done() {
		if _, err := s.Store.PutIfAbsent(ctx, key, body, size); err != nil {
			return false, err
		}
	}
	if !kind.Deadly() {
		return false, ErrInjected
	}
	s.trap.die()
	happened()
	<-ctx.Done()
	return false, context.Cause(ctx)
}
