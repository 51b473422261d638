package config

import (
	"strings"
	"testing"
)

func TestToken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"fits", "bamboogle-1", "bamboogle-1"},
		{"longest that fits", strings.Repeat("a", 40), strings.Repeat("a", 40)},
		{"underscore", "bamboogle_1", "bamboogle-1-"},
		{"capital", "Bamboogle", "bamboogle-"},
		{"dots and wildcards", "a.*.>", "a-"},
		{"too long", strings.Repeat("a", 41), strings.Repeat("a", 28) + "-"},
		{"other script", "日本", ""},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := Token(c.in)
			if IsToken(c.in) != (got == c.in) || !IsToken(got) || !strings.HasPrefix(got, c.want) {
				t.Errorf("Token(%q) = %q, want a token that begins with %q", c.in, got, c.want)
			}
		})
	}
	if Token("a_1") == Token("a.1") {
		t.Error("two ids share a token")
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"", "a", "A", "a.b", "*", ">", "--", strings.Repeat("x", 99), "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Token(s)
		if !IsToken(got) {
			t.Fatalf("Token(%q) = %q is no token", s, got)
		}
		if Token(got) != got {
			t.Fatalf("Token is not idempotent on %q", got)
		}
	})
}
