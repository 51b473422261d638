package bridge

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLineReader(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stdout.log")
	r := &lineReader{path: path}
	defer r.close()
	var got []string
	read := func() { r.each(func(line []byte) { got = append(got, string(line)) }) }

	read() // there is no file yet
	grow := func(text string) {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"one\ntw", "o\n", strings.Repeat("x", maxLine), "xx\nthree\n", "unfinished"} {
		grow(text)
		read()
	}
	if want := []string{"one", "two", "three"}; !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q: whole lines only, too long ones skipped", got, want)
	}
}

// FuzzLineReader holds the reader against splitting the whole text: chunks must not matter.
func FuzzLineReader(f *testing.F) {
	f.Add("one\ntwo\n", 3)
	f.Add("\n\n", 1)
	f.Fuzz(func(t *testing.T, text string, chunk int) {
		if chunk < 1 || len(text) > maxLine {
			t.Skip()
		}
		r := &lineReader{}
		var got []string
		for rest := text; rest != ""; {
			n := min(chunk, len(rest))
			r.take([]byte(rest[:n]), func(line []byte) { got = append(got, string(line)) })
			rest = rest[n:]
		}
		want := strings.Split(text, "\n")
		if want = want[:len(want)-1]; !slices.Equal(got, want) {
			t.Errorf("lines %q, want %q", got, want)
		}
	})
}
