package search

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// askedToWait is how long a reply asks to be left alone; 0: it says nothing. Retry-After (RFC 9110, 10.2.3) comes first;
// engines without it count windows, as Brave does: X-RateLimit-Remaining: 0, 1200 and X-RateLimit-Reset: 1, 86400.
func askedToWait(h http.Header, now time.Time) time.Duration {
	if after := h.Get("Retry-After"); after != "" {
		if n, err := strconv.ParseUint(after, 10, 31); err == nil {
			return time.Duration(n) * time.Second
		}
		if at, err := http.ParseTime(after); err == nil {
			return max(at.Sub(now), 0)
		}
	}
	left, resets := strings.Split(h.Get("X-RateLimit-Remaining"), ","), strings.Split(h.Get("X-RateLimit-Reset"), ",")
	var wait time.Duration
	for i, n := range left {
		if strings.TrimSpace(n) != "0" || i >= len(resets) {
			continue
		}
		if s, err := strconv.ParseInt(strings.TrimSpace(resets[i]), 10, 64); err == nil {
			wait = max(wait, untilReset(s, now))
		}
	}
	return wait
}

// untilReset reads a number of seconds, or, where it is too large for one, a time in Unix seconds.
func untilReset(s int64, now time.Time) time.Duration {
	const longest = 366 * 24 * time.Hour
	if s > int64(longest/time.Second) {
		return min(max(time.Unix(s, 0).Sub(now), 0), longest)
	}
	return time.Duration(max(s, 0)) * time.Second
}
