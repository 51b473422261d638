package bridge

import (
	"context"
	"iter"
	"sync"
)

// inOrder does work on every item, at most ahead+2 of them at a time, and yields the results in the order of the
// items. It ends with the first error. No work is going on any more when it returns.
func inOrder[T, R any](
	ctx context.Context, ahead int, items iter.Seq[T], work func(context.Context, T) (R, error),
) iter.Seq2[R, error] {
	type outcome struct {
		value R
		err   error
	}
	return func(yield func(R, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var working sync.WaitGroup
		defer working.Wait()
		defer cancel()

		pending := make(chan chan outcome, ahead) // its capacity is what bounds the work
		working.Go(func() {
			defer close(pending)
			for item := range items {
				result := make(chan outcome, 1)
				select {
				case pending <- result:
				case <-ctx.Done():
					return
				}
				working.Go(func() {
					value, err := work(ctx, item)
					result <- outcome{value, err}
				})
			}
		})
		for result := range pending {
			o := <-result
			if !yield(o.value, o.err) || o.err != nil {
				return
			}
		}
		if ctx.Err() != nil {
			var none R
			yield(none, context.Cause(ctx))
		}
	}
}
