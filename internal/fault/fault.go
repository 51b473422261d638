// Package fault breaks one write of a test: it is refused, or it is done and its reply is lost, or its process dies
// right before or right after it. A Link does that to requests on the bus, a Proxy to HTTP requests, a Store to blobs.
//
// Promise: an armed fault meets one write, the one that was named, and no other; the channel that arming returns is
// closed when it has happened, so that a test can tell a fault that was survived from one that never was. What was in
// flight on the same connection breaks with it, as it does in life.
//
// Deaths: nothing passes any more after one, so whatever the process does until the test has ended it reaches nobody.
// Whoever goes on needs a link, proxy or store of its own. This package is for tests only.
package fault

import "sync"

// Kind is what happens to a write.
type Kind int

// The fault pair, and the two deaths.
const (
	Refused     Kind = iota // it is not done, and the writer is told so, or that its connection is gone
	ReplyLost               // it is done, and the writer is not told
	DeathBefore             // the writer dies before it is done
	DeathAfter              // the writer dies when it is done
)

// Pair is the two faults that a writer lives through.
var Pair = []Kind{Refused, ReplyLost}

// All is the pair and the two deaths.
var All = []Kind{Refused, ReplyLost, DeathBefore, DeathAfter}

func (k Kind) String() string {
	return [...]string{"refused", "done but the reply was lost", "death before", "death after"}[k]
}

// Deadly says whether the writer is to be ended when the fault has happened.
func (k Kind) Deadly() bool { return k == DeathBefore || k == DeathAfter }

// done says whether the write takes place.
func (k Kind) done() bool { return k == ReplyLost || k == DeathAfter }

// trap is one armed fault.
type trap[Request any] struct {
	mu      sync.Mutex // guards what follows
	matches func(Request) bool
	skip    int
	kind    Kind
	faced   chan struct{}
	dead    bool
}

func (t *trap[Request]) arm(skip int, kind Kind, matches func(Request) bool) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.matches, t.skip, t.kind, t.faced = matches, skip, kind, make(chan struct{})
	return t.faced
}

// meets says whether a request meets the fault, which is over with that; happened is to be called when it has.
func (t *trap[Request]) meets(r Request) (kind Kind, happened func(), yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.matches == nil || !t.matches(r) {
		return 0, nil, false
	}
	if t.skip > 0 {
		t.skip--
		return 0, nil, false
	}
	faced := t.faced
	t.matches = nil
	return t.kind, sync.OnceFunc(func() { close(faced) }), true
}

// die lets nothing pass any more.
func (t *trap[Request]) die() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead = true
}

func (t *trap[Request]) isDead() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dead
}
