package sheet

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// written is one row through Writer.
func written(t interface{ Fatal(...any) }, cells ...string) []byte {
	var b bytes.Buffer
	head := make([]string, len(cells))
	for i := range head {
		head[i] = string(rune('a' + i))
	}
	w := NewWriter(&b, head...)
	w.Row(cells...)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFormulas: no cell begins with what a spreadsheet computes, and all of them come back.
func TestFormulas(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`=HYPERLINK("http://evil","x")`, "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''", "'", "", "plain", "a=b", " =1",
		"two\nlines", `"quoted", and more`, "Ünïcödé",
	} {
		data := written(t, text, "x")
		raw, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(raw[1][0][:min(1, len(raw[1][0]))], "=+-@\t\r\n") || strings.HasPrefix(raw[1][0], "＝") {
			t.Errorf("%q is written as %q", text, raw[1][0])
		}
		rows, err := parse("f", data, nil)
		if err != nil || rows[0].Cell("a") != Fit(text) {
			t.Errorf("%q came back as %v, %v", text, rows, err)
		}
		if saved := restored(strings.TrimPrefix(raw[1][0], apostrophe)); !Same(rows[0].Cell("a"), text) || !Same(saved, text) || Same(saved+"x", text) {
			t.Errorf("%q is not known again, or not where a spreadsheet has eaten the apostrophe", text)
		}
	}
}

func TestAnyText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		rows, err := parse("f", written(t, a, b, "x"), []string{"a", "b"})
		if err != nil || len(rows) != 1 || rows[0].Cell("a") != Fit(a) || rows[0].Cell("b") != Fit(b) {
			t.Fatalf("%q, %q came back as %v, %v", a, b, rows, err)
		}
	})
}

func TestLongCells(t *testing.T) {
	t.Parallel()
	long := Fit(strings.Repeat("ü", 40_000))
	if n := len([]rune(long)); n >= longestCell || !strings.HasSuffix(long, cutMark) || Fit(long) != long {
		t.Errorf("%d characters, ending in %q", n, long[len(long)-10:])
	}
}

// TestRead: what spreadsheets make of a file, and what is wrong with one.
func TestRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"plain":           {"identity,label\nx,true\n", "f:2 x true"},
		"from Excel":      {"\uFEFFLabel;Note;Identity\r\ntrue;a,b;x\r\n;;\r\n", "f:2 x true"},
		"tabs":            {"identity\tlabel\nx\t true \n", "f:2 x true"},
		"lines in a cell": {"identity,label,note\nx,true,\"a\nb\"\ny,false,\n", "f:2 x true f:4 y false"},
		"no column":       {"identity,lable\nx,true\n", "f:1: no column label\n  columns: identity, lable; expected at least identity, label"},
		"short row":       {"identity,label\nx\n", "f:2: another number of cells than the first line has"},
		"open quote":      {"identity,label\n\"x,true\n", "f:2: no CSV: "},
		"empty":           {"", "f: nothing in it"},
		"Latin-1":         {"identity,label\n\xe9,true\n", "save the sheet as CSV UTF-8"},
		"no rows":         {"identity,label\n", ""},
	} {
		rows, err := parse("f", []byte(c.text), []string{"identity", "label"})
		var got []string
		for _, r := range rows {
			got = append(got, r.Place, r.Word("identity"), r.Word("label"))
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if have := strings.Join(got, " "); have != c.want && (err == nil || !strings.Contains(have, c.want)) {
			t.Errorf("%s: got %q, want %q", name, have, c.want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.csv")); !os.IsNotExist(err) && !strings.Contains(err.Error(), "none.csv") {
		t.Errorf("%v, want the file's name", err)
	}
}
