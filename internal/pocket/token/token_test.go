package token

import (
	"slices"
	"strings"
	"testing"
)

func vocabulary() *Vocabulary {
	return New([]string{`Search(query='`, `', thoughts="`, "\"),\n", "# [END]", "I need the ", "."}, strings.Fields("Ada Abel the river 1943 3 runs a b"))
}

func TestEncode(t *testing.T) {
	t.Parallel()
	v := vocabulary()
	for _, c := range []struct {
		text string
		n    int
	}{
		{"Ada Abel", 2},
		{`Search(query='Ada Abel', thoughts="the river.` + "\"),\n", 8},
		{"Ada  Abel", 4},
		{"a-b", 3},
		{" a ", 3},
		{"the river 1943", 3},
		{"I need the river", 2},
		{"a I need the river", 4},
		{"", 0},
		{"# [END]", 1},
	} {
		ids := v.Encode(c.text)
		if got := v.Decode(ids); got != c.text || len(ids) != c.n {
			t.Errorf("%q: %d tokens %v, decoded %q, want %d tokens", c.text, len(ids), ids, got, c.n)
		}
	}
	if ids := v.Encode("Ada Zorro runs"); len(ids) != 3 || ids[1] != Unknown || v.Decode(ids) != "Ada <unk> runs" {
		t.Errorf("an unknown word: %v %q", ids, v.Decode(ids))
	}
	if v.Size()%16 != 0 {
		t.Errorf("size %d is not padded", v.Size())
	}
}

func FuzzEncode(f *testing.F) {
	for _, s := range []string{"Ada Abel runs.", "\x00é…", "# [END]# [END", "a  b \n", "Search(query='Ada', thoughts=\"", "runsriver"} {
		f.Add(s)
	}
	v := vocabulary()
	f.Fuzz(func(t *testing.T, text string) {
		ids := v.Encode(text)
		for _, id := range ids {
			if id == Unknown {
				return
			}
		}
		if got := v.Decode(ids); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	})
}

func TestLearn(t *testing.T) {
	t.Parallel()
	words := []string{"Ada", "Abel", "the", "is"}
	texts := []string{"Search(query='Ada Abel', thoughts=\"I need the id\")\n", "Search(query='the', thoughts=\"What is", "Rare the"}
	got := Learn(texts, words, 2)
	if want := []string{"Search(query='"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	all := Learn(texts, words, 1)
	v := New(all, words)
	for _, text := range texts {
		ids := v.Encode(text)
		if slices.Contains(ids, Unknown) || v.Decode(ids) != text {
			t.Errorf("%q came back as %q", text, v.Decode(ids))
		}
	}
}
