package pocket

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestStopList(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{`"a"`: {"a"}, `["a","b"]`: {"a", "b"}, `""`: nil, `null`: nil, `[]`: {}} {
		var got stopList
		if err := json.Unmarshal([]byte(in), &got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	var got stopList
	if err := json.Unmarshal([]byte(`3`), &got); err == nil {
		t.Error("3 is no stop list")
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text    string
		stops   []string
		include bool
		want    string
	}{
		{"a # [END]", []string{"# [END]"}, false, "a "},
		{"a # [END]", []string{"# [END]"}, true, "a # [END]"},
		{"abcabc", []string{"c", "b"}, false, "a"},
		{"abc", []string{""}, false, "abc"},
		{"abc", nil, false, "abc"},
	} {
		if got := cut(c.text, c.stops, c.include); got != c.want {
			t.Errorf("cut(%q, %q, %v) = %q, want %q", c.text, c.stops, c.include, got, c.want)
		}
	}
}
