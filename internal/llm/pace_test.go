package llm

import (
	"net/http"
	"testing"
	"time"
)

func limits(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set("x-ratelimit-"+pairs[i], pairs[i+1])
	}
	return h
}

// TestRate: a limit is kept to as the server tells it (header names: OpenAI, "Rate limits"), and fills again at its rate.
func TestRate(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		header http.Header
		tokens int64
		delays []time.Duration // of calls that all come at the start
	}{
		"none":             {limits(), 100, []time.Duration{0, 0, 0}},
		"two are left":     {limits("limit-requests", "60", "remaining-requests", "2", "reset-requests", "58s"), 100, []time.Duration{0, 0, time.Second}},
		"a full one":       {limits("limit-requests", "2", "remaining-requests", "2", "reset-requests", "0s"), 100, []time.Duration{0, 0, 30 * time.Second}},
		"tokens":           {limits("limit-tokens", "1000", "remaining-tokens", "150", "reset-tokens", "8.5s"), 100, []time.Duration{0, 500 * time.Millisecond}},
		"a call too large": {limits("limit-tokens", "1000", "remaining-tokens", "500", "reset-tokens", "1m0s"), 9999, []time.Duration{time.Minute}},
		"seconds":          {limits("limit-requests", "10", "remaining-requests", "0", "reset-requests", "5"), 1, []time.Duration{500 * time.Millisecond}},
		"nonsense":         {limits("limit-requests", "-1", "remaining-requests", "x", "reset-requests", "soon"), 1, []time.Duration{0, 0}},
		"not a number":     {limits("limit-requests", "NaN", "remaining-requests", "NaN", "reset-requests", "1s"), 1, []time.Duration{0, 0}},
	} {
		p := &pace{}
		p.heard(c.header, start)
		for i, want := range c.delays {
			if got := p.take(start, c.tokens); got != want {
				t.Errorf("%s: call %d waits %s, want %s", name, i, got, want)
			}
		}
		last := c.delays[len(c.delays)-1]
		if got := p.take(start.Add(last), c.tokens); last > 0 && got > 0 {
			t.Errorf("%s: after %s it waits another %s", name, last, got)
		}
	}
}

// TestWithheld: where a rate is known, refusals tell that others take of it; each success takes a little back.
func TestWithheld(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	p, none := &pace{}, limits("limit-requests", "60", "remaining-requests", "0", "reset-requests", "60s")
	waits := func(want time.Duration) {
		t.Helper()
		p.heard(none, start)
		if got := p.delay(start, 0).Round(10 * time.Millisecond); got != want {
			t.Errorf("a call waits %s, want %s", got, want)
		}
	}
	waits(time.Second)
	p.refuse(start, start.Add(time.Millisecond), 0, 8, 1)
	p.refuse(start, start.Add(time.Millisecond), 0, 8, 1) // of the same burst
	waits(2 * time.Second)
	p.refuse(start.Add(time.Second), start.Add(time.Second), time.Millisecond, 8, 1)
	if p.until = start; p.window(8) != 8 {
		t.Errorf("window %d: a rate is kept to by time", p.window(8))
	}
	waits(4 * time.Second)
	for range 75 {
		p.succeed(8)
	}
	waits(time.Second)
}

// TestWindow: refusals halve the calls in flight, one burst once; successes give them back, one by one.
func TestWindow(t *testing.T) {
	t.Parallel()
	e := &endpoint{flight: make(chan struct{}, 64)}
	window := func(want int) {
		t.Helper()
		if got := e.pace.window(cap(e.flight)); got != want || cap(e.flight)-len(e.flight) > got {
			t.Errorf("window %d, %d places free, want %d", got, cap(e.flight)-len(e.flight), want)
		}
	}
	begin := time.Now()
	for range 16 {
		e.flight <- struct{}{}
	}
	busy := &Error{Kind: KindBusy}
	for range 10 { // a burst
		e.paced(begin, busy)
		e.leave()
	}
	window(8)
	for range 6 {
		e.paced(begin, nil)
		e.leave()
	}
	window(8)
	for range 10 {
		e.flight <- struct{}{}
		e.paced(time.Now(), nil)
		e.leave()
	}
	window(9)
	e.flight <- struct{}{}
	e.paced(time.Now(), busy)
	e.leave()
	window(1)
	for range 3000 {
		e.flight <- struct{}{}
		e.paced(time.Now(), nil)
		e.leave()
	}
	window(64)
	if len(e.flight) != 0 {
		t.Errorf("%d places are lost", len(e.flight))
	}
	e.paced(time.Now(), &Error{Kind: KindBusy, after: time.Minute})
	window(64)
	if d := e.pace.delay(time.Now(), 1); d < 50*time.Second {
		t.Errorf("after Retry-After: 1 min a call waits %s", d)
	}
}
