package llm

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Endpoints of a policy, at least one.
func Endpoints(p *pb.Policy) []string {
	if all := p.GetEndpoints(); len(all) > 0 {
		return all
	}
	return []string{p.GetEndpoint()}
}

// pool is the endpoints of a request. One that cannot be spoken to (its key cannot be read) takes nobody down: it is an
// error only where there is no other.
func (c *Client) pool(r Request) ([]*endpoint, error) {
	if len(r.Endpoints) == 0 {
		e, err := c.endpoint(r.Endpoint)
		return []*endpoint{e}, err
	}
	var all []*endpoint
	var wrong error
	for _, base := range r.Endpoints {
		e, err := c.endpoint(base)
		if err != nil {
			wrong = errors.Join(wrong, err)
			continue
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		return nil, wrong
	}
	for _, e := range all {
		e.peers.CompareAndSwap(nil, &all)
	}
	return all, nil
}

// spare is by how much the endpoint that has a call's prefix may be busier than its share.
const spare = 1.25

// choose takes the endpoint that has the call's prefix in its cache, unless that has more than its share of the calls in
// flight; then the one that would be through with it first. An endpoint that is ill, was tried, rests, is out of its rate
// or full is taken only where all are.
func choose(pool []*endpoint, affinity string, tokens int64, tried map[*endpoint]bool) *endpoint {
	if len(pool) == 1 {
		return pool[0]
	}
	now := time.Now()
	fit := best(pool, func(e *endpoint) int { return e.fitness(now, tokens, tried[e]) })
	speeds, total, sum := speeds(fit), 1.0, 0.0
	for i, e := range fit {
		total += float64(e.load.Load())
		sum += speeds[i]
	}
	chosen, home, quickest, highest := fit[0], -1, math.Inf(1), uint64(0)
	first := rand.IntN(len(fit)) // of equals
	for k := range fit {
		i := (first + k) % len(fit)
		if wait := float64(fit[i].load.Load()+1) / speeds[i]; wait < quickest {
			chosen, quickest = fit[i], wait
		}
		if h := hashOf(affinity, fit[i].url); affinity != "" && (home < 0 || h > highest) {
			home, highest = i, h
		}
	}
	if home >= 0 && float64(fit[home].load.Load()+1) <= math.Ceil(spare*total*speeds[home]/sum) {
		return fit[home]
	}
	return chosen
}

// best is the endpoints of the highest rank.
func best(pool []*endpoint, rank func(*endpoint) int) []*endpoint {
	var all []*endpoint
	most := 0
	for _, e := range pool {
		switch n := rank(e); {
		case len(all) == 0 || n > most:
			all, most = []*endpoint{e}, n
		case n == most:
			all = append(all, e)
		}
	}
	return all
}

// fitness ranks an endpoint, higher is better.
func (e *endpoint) fitness(now time.Time, tokens int64, tried bool) int {
	rank := 0
	for i, good := range []bool{
		int(e.load.Load()) < e.pace.window(cap(e.flight)), e.pace.delay(now, tokens) <= 0, now.UnixNano() >= e.restUntil.Load(), !tried, !e.circuit.isOpen(),
	} {
		if good {
			rank += 1 << i
		}
	}
	return rank
}

// speeds of endpoints, in calls a second; one that has not answered yet is as quick as the quickest.
func speeds(all []*endpoint) []float64 {
	out, quickest := make([]float64, len(all)), 0.0
	for i, e := range all {
		if took := time.Duration(e.took.Load()); took > 0 {
			out[i] = 1 / took.Seconds()
			quickest = max(quickest, out[i])
		}
	}
	for i := range out {
		if out[i] == 0 {
			out[i] = max(quickest, 1)
		}
	}
	return out
}

// timed remembers how long calls take, the last ones most.
func (e *endpoint) timed(took time.Duration) {
	const weight = 8
	if before := e.took.Load(); before > 0 {
		took = time.Duration(before + (int64(took)-before)/weight)
	}
	e.took.Store(max(int64(took), 1))
}

// hashOf is an endpoint's claim to a prefix: the highest has it, and keeps it whichever others come and go.
func hashOf(affinity, url string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(affinity + "\x00" + url))
	x := h.Sum64() // the last bytes move too few bits
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}

// revive asks an endpoint whose circuit is open, now and then, whether it is well again: nobody waits for one that has
// others beside it.
func (c *Client) revive(e *endpoint) {
	if e.peers.Load() == nil || !e.circuit.isOpen() {
		return
	}
	if closing, mine, _ := e.circuit.turn(); closing == nil || !mine {
		return
	}
	c.reviving.Go(func() {
		if c.probe(context.Background(), e) == nil { // bounded by modelsTimeout
			e.circuit.probed()
		}
	})
}

// elsewhere: another endpoint may do what this one did not. What any server would say again is not asked again.
func elsewhere(err error) bool {
	var failed *Error
	if !errors.As(err, &failed) || failed.Kind == KindLong {
		return false
	}
	return failed.Kind != KindRequest || failed.Status == http.StatusNotFound || failed.Status == http.StatusUnauthorized || failed.Status == http.StatusForbidden
}
