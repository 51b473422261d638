package e2e

import "slices"

// keyEnd ends a course's API key; what follows names who asks.
const keyEnd = "."

// flight is a call that was asked and is not answered.
type flight struct {
	call
	asker string
}

// depart notes that a call is asked; arrive ends it, with its answer or without.
func (c *course) depart(key call, asker string) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &flight{key, asker}
	c.flying[f] = true
	c.asks[key]++
	return f
}

func (c *course) arrive(f *flight, answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flying, f)
	if answered {
		c.answered[f.call]++
	}
}

// cut is the calls that a fault may have cut off, and how often each had been asked and answered by then.
type cut map[call]int

// inFlight is the calls in flight that some have asked; without those that somebody has the answer of already, because
// nobody needs them again.
func (c *course) inFlight(askers ...string) cut {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := cut{}
	for f := range c.flying {
		if slices.Contains(askers, f.asker) && c.answered[f.call] == 0 {
			out[f.call] = c.asks[f.call] + c.answered[f.call]
		}
	}
	return out
}

// takenUp says whether each of the calls was answered after all, or asked again by whoever does the work now.
func (c *course) takenUp(calls cut) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, before := range calls {
		if c.asks[key]+c.answered[key] == before {
			return false
		}
	}
	return true
}

// answers is how many calls were answered, repetitions included.
func (c *course) answers() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.answered {
		n += times
	}
	return n
}

// askedAgain is how many calls of the policies were asked more than once, whether or not they were answered before.
func (c *course) askedAgain() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, times := range c.asks {
		if key.model != judge {
			n += times - 1
		}
	}
	return n
}
