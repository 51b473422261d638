package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// history is the calls that each trajectory of the policies asked for, in order, and who asked. From it follows whether
// a journalled step was paid for again.
type history struct {
	played map[string][]turn
	hands  map[string]*hand
	// births and deaths of those who ask.
	births, deaths map[string]time.Time
	// returns lists what nobody may do: go back behind a call whose successor had been asked for, because then its step
	// was in the journal; and go on beside another that has its answers, because then one of two appends was to fail.
	returns []string
}

// turn is a call of a trajectory, by whoever asked first.
type turn struct {
	call
	asker string
	at    time.Time
}

// hand is a worker at a trajectory.
type hand struct {
	last int // the turn that it asked for last
	when time.Time
	// again: somebody else had asked for it before; behind: and for the one after it.
	again, behind bool
}

func newHistory() history {
	return history{played: map[string][]turn{}, hands: map[string]*hand{}, births: map[string]time.Time{}, deaths: map[string]time.Time{}}
}

func (c *course) born(asker string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.births[asker] = time.Now()
}

func (c *course) died(asker string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaths[asker] = time.Now()
}

// asked notes the order of a trajectory's calls; a policy's model and question are its own in a run of one
// generation.
func (c *course) asked(key call, body request, asker string) {
	if body.Model == judge {
		return
	}
	question, _, _ := strings.Cut(body.Prompt, "\n")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(body.Model+" "+question, key, asker, c.answered[key] > 0)
}

func (h *history) turn(trajectory string, key call, asker string, answered bool) {
	at := h.hands[trajectory+asker]
	if at == nil {
		at = &hand{last: -1}
		h.hands[trajectory+asker] = at
	}
	played, i := h.played[trajectory], 0
	for i < len(played) && played[i].call != key {
		i++
	}
	soon := time.Since(at.when) < time.Second // else its work may have come to it twice
	defer func() { at.last, at.when = i, time.Now() }()
	if i == len(played) {
		h.played[trajectory] = append(played, turn{key, asker, time.Now()})
		at.again = false
		return
	}
	if i == at.last { // once more: a call that it never had the answer of
		return
	}
	behind := i < len(played)-1
	if behind && (at.behind || !h.beside(asker, played[i+1])) {
		h.returns = append(h.returns, fmt.Sprintf("%s: call %d of %d, by %s after %s", trajectory, i+1, len(played), asker, played[i+1].asker))
	}
	if at.again && soon && answered && asker != played[i].asker && h.beside(asker, played[i]) {
		h.returns = append(h.returns, fmt.Sprintf("%s: call %d, by %s beside %s", trajectory, i+1, asker, played[i].asker))
	}
	at.again, at.behind = true, at.behind || behind
}

// beside says whether a worker and the one that has gone on are at work at the same time, as they are when one has
// lost its lease: it read the journal before the other's step was in it. That costs the one call that is in flight; its
// append fails. They may be one process, to which its own work came again.
func (h *history) beside(asker string, next turn) bool {
	_, dead := h.deaths[next.asker]
	if asker == next.asker {
		return time.Since(next.at) < ackWait/3 // else it died in between, and its work came again
	}
	return !dead && h.births[asker].Before(next.at)
}

// checkReturns: no call of a journalled step was asked for again.
func (c *course) checkReturns(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.returns) > 0 {
		t.Errorf("%d calls of journalled steps were repeated:\n%s", len(c.returns), strings.Join(c.returns, "\n"))
	}
}
