package view

import (
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
)

func TestSafe(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":          "plain",
		"\x1b[31mred":    "␛[31mred",
		"a\nb\r":         "a␊b␍",
		"\x7f":           "␡",
		"\u202egnp":      "<U+202E>gnp",
		"a\u200bb":       "a<U+200B>b",
		"\u0085":         "<U+0085>",
		"\xff":           "<U+FFFD>",
		"日本, ünïcode, 🙂": "日本, ünïcode, 🙂",
	} {
		if got := Safe(in); got != want {
			t.Errorf("Safe(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	got := strings.Join(Lines("one two three four\r\n\nfive\tsix\nabcdefghijklmnop\n", 10), "|")
	if want := "one two|three four||five|six|abcdefghij|klmnop"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	if got := Cut("abcdef", 4); got != "abc…" {
		t.Errorf("got %q", got)
	}
	if got := Cut("日本日本", 5); lipgloss.Width(got) > 5 {
		t.Errorf("got %q", got)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("a b\tc\n", 8)
	f.Add(hostile, 20)
	f.Fuzz(func(t *testing.T, text string, width int) {
		width = 8 + max(0, width%200)
		for _, line := range Lines(text, width) {
			harmless(t, line)
			if w := lipgloss.Width(line); w > width {
				t.Fatalf("%d columns of %d: %q", w, width, line)
			}
		}
	})
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 42310: "42,310", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-1: "0 s", 400 * time.Millisecond: "0.4 s", 12 * time.Second: "12 s", 200 * time.Second: "3 min 20 s", 125 * time.Minute: "2 h 5 min",
	} {
		if got := Took(d); got != want {
			t.Errorf("Took(%s) = %q, want %q", d, got, want)
		}
	}
	if got := Short(9_100_000); got != "9.1 M" {
		t.Errorf("got %q", got)
	}
}

func TestScreen(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	s := NewScreen(&b)
	for _, step := range []func() error{
		func() error { return s.Redraw([]string{"a", "b"}) }, func() error { return s.Print("done") },
		func() error { return s.Redraw([]string{"c"}) }, func() error { return s.Redraw(nil) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if want := "a\nb\n\x1b[2A\x1b[Jdone\na\nb\n\x1b[2A\x1b[Jc\n\x1b[1A\x1b[J"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestPaint(t *testing.T) {
	t.Parallel()
	if got := (Paint{}).State("paused"); got != "paused" {
		t.Errorf("got %q", got)
	}
	if got := (Paint{On: true}).State("paused"); got != "\x1b[33mpaused\x1b[0m" {
		t.Errorf("got %q", got)
	}
}
