package config

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestJudging: what is left out is not in the run's JSON, of which its name is a hash; what makes no sense is refused.
func TestJudging(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(DefaultRun())
	if err != nil || strings.Contains(string(text), "judging") {
		t.Errorf("%s, %v: runs submitted before there was judging lose their names", text, err)
	}
	run, back := DefaultRun(), Run{}
	run.Judging = Judging{Votes: 3, Swap: 0.1}
	if text, err = json.Marshal(run); err != nil || json.Unmarshal(text, &back) != nil || back.Judging != run.Judging {
		t.Errorf("%s comes back as %+v (%v)", text, back.Judging, err)
	}
	for _, c := range []struct {
		Judging
		wrong string
	}{
		{Judging{}, ""},
		{Judging{Votes: 1}, ""},
		{Judging{Votes: 3, Swap: 0.1}, ""},
		{Judging{Votes: 9, Swap: 1}, ""},
		{Judging{Votes: 2}, "judging.votes: want an odd number up to 9, or 0, not 2"},
		{Judging{Votes: -1}, "judging.votes"},
		{Judging{Votes: 11}, "judging.votes"},
		{Judging{Swap: 1.5}, "judging.swap: want a number from 0 to 1"},
		{Judging{Swap: -0.1}, "judging.swap"},
	} {
		v := check{place: func(string) string { return "" }}
		v.judging(c.Judging)
		if err := v.wrong.err(); (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%+v: %v, want %q", c.Judging, err, c.wrong)
		}
	}
}
