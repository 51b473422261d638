package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// hostile is what an endpoint's error may say to whoever reads the log.
const hostile = "\x1b[2J\x1b]0;owned\x07\r\u009b31m \u202egnp.exe\u2066 zero\u200bwidth \x7f\b\u0085 \U000e0041\xff\nnext"

// A log shows what strangers said, in either form, and stays a line for each record.
func TestLogIsHarmless(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"text", "json"} {
		var b bytes.Buffer
		log, err := Logger(config.Log{Format: form}, "rollout", &b)
		if err != nil {
			t.Fatal(err)
		}
		log.Warn("try again", "error", errors.New(hostile), hostile, hostile)
		log.With(hostile, 1).WithGroup(hostile).Info(hostile, "x", []string{hostile})
		if n := strings.Count(b.String(), "\n"); n != 2 {
			t.Errorf("%s: %d lines, want 2:\n%s", form, n, b.String())
		}
		if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && IsHidden(r) }); i >= 0 {
			t.Errorf("%s: hidden characters in the log: %q", form, b.String()[i:])
		}
	}
}

func FuzzVisible(f *testing.F) {
	f.Add(hostile)
	f.Add("日本, ünïcode, 🙂")
	f.Fuzz(func(t *testing.T, text string) {
		if i := strings.IndexFunc(Visible(text), IsHidden); i >= 0 {
			t.Fatalf("Visible(%q) hides something: %q", text, Visible(text))
		}
		written, err := json.Marshal(map[string]string{text: text})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if n, err := JSONWriter(&b).Write(written); err != nil || n != len(written) {
			t.Fatal(n, err)
		}
		if i := bytes.IndexFunc(b.Bytes(), IsHidden); i >= 0 {
			t.Fatalf("hidden in %q", b.String())
		}
		var want, got map[string]string
		if json.Unmarshal(written, &want) != nil || json.Unmarshal(b.Bytes(), &got) != nil || got[text] != want[text] || len(got) != 1 {
			t.Fatalf("%q is not the same JSON as %q", b.String(), written)
		}
	})
}
