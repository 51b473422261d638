package llm

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// pace keeps calls to what an endpoint allows, as it says itself: Retry-After, the rate limits in its headers
// (x-ratelimit-{limit,remaining,reset}-{requests,tokens}, OpenAI's "Rate limits" guide), and its refusals. What it says
// counts the calls of every worker, so that workers share a limit without talking to each other.
type pace struct {
	mu       sync.Mutex // guards all below
	until    time.Time  // nothing is sent before it
	requests bucket
	tokens   bucket

	// A refusal without a time (429, 503) halves the calls in flight; as many successes as may be in flight add one.
	// Places are taken away by keeping them, those in use when their calls leave.
	kept, owed, credit int
	halved             time.Time
	// withheld is the part of a known rate that others take, as refusals tell: each halves what is left, and each success
	// takes a little back.
	withheld float64
}

const (
	mostWithheld = 0.95
	takenBack    = 0.01
)

// bucket is a limit that fills again by itself.
type bucket struct {
	limit, left float64 // left at the time at; limit 0: none is known
	rate        float64 // a second
	at          time.Time
}

// level is what may be taken now.
func (b *bucket) level(now time.Time) float64 {
	return min(b.limit, b.left+b.rate*now.Sub(b.at).Seconds())
}

// keepPart slows the filling down to a part of the rate.
func (b *bucket) keepPart(now time.Time, part float64) {
	b.left, b.at, b.rate = b.level(now), now, b.rate*part
}

// delay is how long it takes until need may be taken. More than the limit is never there: it waits for all of it.
func (b *bucket) delay(now time.Time, need float64) time.Duration {
	missing := min(need, b.limit) - b.level(now)
	if b.limit == 0 || missing <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(missing / b.rate * float64(time.Second)))
}

func (b *bucket) take(now time.Time, need float64) {
	if b.limit > 0 {
		b.left, b.at = b.level(now)-need, now
	}
}

// read takes a limit out of a reply's headers, where all three are there. It is full again after reset; where it is full
// already, the limit is taken as one of a minute.
func (b *bucket) read(h http.Header, what string, now time.Time) bool {
	limit, err := strconv.ParseFloat(h.Get("X-Ratelimit-Limit-"+what), 64)
	left, bad := strconv.ParseFloat(h.Get("X-Ratelimit-Remaining-"+what), 64)
	reset := duration(h.Get("X-Ratelimit-Reset-" + what))
	if err != nil || bad != nil || !(limit > 0) || !(left >= 0) || math.IsInf(limit, 0) {
		return false
	}
	*b = bucket{limit: limit, left: min(left, limit), rate: limit / 60, at: now}
	if reset > 0 && left < limit {
		b.rate = (limit - left) / reset.Seconds()
	}
	return true
}

// duration reads "6m0s", "20ms" or seconds.
func duration(text string) time.Duration {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(seconds * float64(time.Second))
	}
	d, _ := time.ParseDuration(text)
	return d
}

// delay is how long a call of so many tokens has to wait.
func (p *pace) delay(now time.Time, tokens int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wait(now, tokens)
}

func (p *pace) wait(now time.Time, tokens int64) time.Duration {
	return max(p.until.Sub(now), p.requests.delay(now, 1), p.tokens.delay(now, float64(tokens)), 0)
}

// take takes a call of so many tokens, or says how long to wait for it.
func (p *pace) take(now time.Time, tokens int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.wait(now, tokens); d > 0 {
		return d
	}
	p.requests.take(now, 1)
	p.tokens.take(now, float64(tokens))
	return 0
}

// heard reads what a reply's headers say of limits.
func (p *pace) heard(h http.Header, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for what, b := range map[string]*bucket{"Requests": &p.requests, "Tokens": &p.tokens} {
		if b.read(h, what, now) {
			b.rate *= 1 - p.withheld
		}
	}
}

// refuse notes a refusal for want of capacity of a call that began at begin. One burst of refusals halves once.
func (p *pace) refuse(begin, now time.Time, after time.Duration, places, inFlight int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if after > 0 && after <= longestWish {
		p.until = later(p.until, now.Add(after))
	}
	if begin.Before(p.halved) {
		return
	}
	p.halved, p.credit = now, 0
	if p.requests.limit+p.tokens.limit > 0 {
		p.withheld = min((1+p.withheld)/2, mostWithheld)
		p.requests.keepPart(now, 0.5)
		p.tokens.keepPart(now, 0.5)
		return
	}
	if after > 0 {
		return
	}
	window := places - p.kept - p.owed
	p.owed += max(window-max(min(window, inFlight-p.kept)/2, 1), 0)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// succeed notes a success, and says whether a place that was kept is given back.
func (p *pace) succeed(places int) (giveBack bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.withheld = max(p.withheld-takenBack, 0)
	if p.kept+p.owed == 0 {
		return false
	}
	if p.credit++; p.credit < places-p.kept-p.owed {
		return false
	}
	p.credit = 0
	if p.owed > 0 {
		p.owed--
		return false
	}
	p.kept--
	return true
}

// keep says whether the place of a call that leaves is taken away.
func (p *pace) keep() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owed == 0 {
		return false
	}
	p.owed, p.kept = p.owed-1, p.kept+1
	return true
}

// window is how many calls may be in flight.
func (p *pace) window(places int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(places-p.kept-p.owed, 1)
}
