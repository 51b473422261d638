package e2e

import (
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// weather is how often, of a hundred requests, one is not answered but met with one of foul; the zero value is fine
// weather.
type weather struct {
	percent int
	random  *rand.Rand
}

// foul is what endpoints do in place of answering. None of it is an answer that one pays for.
var foul = []http.HandlerFunc{
	func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of memory", http.StatusInternalServerError)
	},
	func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, `{"error":{"message":"slow down","type":"rate_limit"}}`, http.StatusTooManyRequests)
	},
	func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },                               // hangs
	func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"choices":[{"index":0,"text"`) }, // garbage
	func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>Bad gateway</html>") },
	func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"choices":[]}`) },
	func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"choices":[{"index":0}]}`) }, // no text, not an empty one
	func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },                        // cuts the connection
}

// takes is how long a model's call takes.
func (c *course) takes(model string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if model == judge {
		return c.judging
	}
	return c.pace
}

// blow changes the weather.
func (c *course) blow(w weather) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.weather = w
}

// spoilt meets some requests with what comes in place of an answer.
func (c *course) spoilt(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	var meet http.HandlerFunc
	if c.weather.percent > 0 && c.weather.random.IntN(100) < c.weather.percent {
		meet = foul[c.weather.random.IntN(len(foul))]
	}
	c.mu.Unlock()
	if meet == nil {
		return false
	}
	meet(w, r)
	return true
}
