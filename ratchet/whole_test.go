package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestWriteWhole: what has the name is whole; what had it first stands.
func TestWriteWhole(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "out")
	write := func(content string, then error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, content)
			return errors.Join(err, then)
		}
	}
	holds := func(want string) {
		t.Helper()
		got, err := os.ReadFile(file)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".export-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	gone := errors.New("the source is gone")
	if err := writeWhole(file, write("half", gone)); !errors.Is(err, gone) {
		t.Error(err)
	}
	holds("")
	if err := writeWhole(file, write("whole", nil)); err != nil {
		t.Error(err)
	}
	holds("whole")
	asked := false
	if err := writeWhole(file, func(io.Writer) error { asked = true; return nil }); codeOf(err) != exitRefused || asked {
		t.Errorf("%v, asked %t: a file that is there costs no work", err, asked)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	err := writeWhole(file, func(io.Writer) error { return os.WriteFile(file, []byte("first"), 0o600) }) // somebody else is quicker
	if codeOf(err) != exitRefused {
		t.Error(err)
	}
	holds("first")
}
