package e2e

import (
	"os"
	"testing"
	"time"
)

// Ctrl-C in the middle is answered soon and orderly, and the run goes on when `ratchet up` is started again.
func TestInterrupt(t *testing.T) {
	long(t)
	want, plain := reference(t)
	calls, _, _ := plain.calls()
	s := newSite(t)
	up := start(t, s.config, "ratchet", "up")
	s.submit(t)
	conn := s.connect(t)
	for _, part := range []int{4, 2} { // while the baseline is measured or grown; later
		s.awaitAny(t, up, []moment{{calls: calls / part}})
		begin := time.Now()
		if code := up.stop(os.Interrupt, 30*time.Second); code != 0 {
			t.Fatalf("ratchet up exits with %d when it is interrupted, want 0", code)
		}
		t.Logf("stopped within %v", time.Since(begin).Round(time.Millisecond))
		up = start(t, s.config, "ratchet", "up")
	}
	s.finish(t, conn)
	t.Logf("interrupted twice: %v", s.course)
	same(t, want, s.outcome(t, conn))
	s.course.checkJobs(t)
	s.course.checkReturns(t)
}
