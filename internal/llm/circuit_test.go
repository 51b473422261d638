package llm

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = &Error{Kind: KindDown}

// TestProbes: of all who wait one probes in each period, and a call that succeeds frees them without a probe.
func TestProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var changes []bool
		c := newCircuit(3, time.Second, func(open bool) { changes = append(changes, open) })
		for _, err := range []error{errDown, errDown, nil, errDown, errDown, &Error{Kind: KindRequest}, errDown, errDown} {
			if c.note(err); c.isOpen() {
				t.Fatal("open before three failures in a row")
			}
		}
		c.note(errDown)
		probes := 0
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() {
				if err := c.wait(t.Context(), func() error { probes++; return errDown }); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(3500 * time.Millisecond) // of the bubble's clock
		c.note(nil)
		waiting.Wait()
		if probes != 3 {
			t.Errorf("%d probes in 3.5 periods, want 3", probes)
		}
		if len(changes) != 2 || !changes[0] || changes[1] {
			t.Errorf("changes %v, want opened, closed", changes)
		}
	})
}

// TestProbeIsNoProof: the first failure after a probe opens the circuit again.
func TestProbeIsNoProof(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit(3, time.Second, func(bool) {})
		for range 3 {
			c.note(errDown)
		}
		begin := time.Now()
		if err := c.wait(t.Context(), func() error { return nil }); err != nil || time.Since(begin) != time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		if c.note(errDown); !c.isOpen() {
			t.Error("still closed")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.wait(ctx, func() error { return errDown }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
