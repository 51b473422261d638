package search

import (
	"net/http"
	"testing"
	"time"
)

func TestAskedToWait(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"nothing":           {nil, 0},
		"seconds":           {map[string]string{"Retry-After": "7"}, 7 * time.Second},
		"a date":            {map[string]string{"Retry-After": now.Add(90 * time.Second).Format(http.TimeFormat)}, 90 * time.Second},
		"a date gone by":    {map[string]string{"Retry-After": now.Add(-time.Hour).Format(http.TimeFormat)}, 0},
		"nonsense":          {map[string]string{"Retry-After": "soon"}, 0},
		"less than nothing": {map[string]string{"Retry-After": "-1"}, 0},
		"for ever":          {map[string]string{"Retry-After": "99999999999999999999"}, 0},
		"the second's":      {map[string]string{"X-RateLimit-Remaining": "0, 1200", "X-RateLimit-Reset": "1, 86400"}, time.Second},
		"the month's":       {map[string]string{"X-RateLimit-Remaining": "0, 0", "X-RateLimit-Reset": "1, 86400"}, 24 * time.Hour},
		"some are left":     {map[string]string{"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "60"}, 0},
		"a time":            {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795608030"}, time.Unix(1795608030, 0).Sub(now)},
		"fewer resets":      {map[string]string{"X-RateLimit-Remaining": "1, 0", "X-RateLimit-Reset": "9"}, 0},
	} {
		h := http.Header{}
		for key, value := range c.header {
			h.Set(key, value)
		}
		if got := askedToWait(h, now); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
