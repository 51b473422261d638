package reader

import (
	"regexp"
	"strconv"
	"strings"
)

// item is one thing found in Python-like text: a call's name, or a name with a value.
type item struct {
	call  string // the X of X(
	name  string // the x of x=..., or of x: type = ...
	value string // of a string or number, without quotes; of a list, what is between the brackets
}

const stringLiteral = `'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"`

var items = regexp.MustCompile(`(?s)([A-Za-z_]\w*)(?:\(|(?:: ?[\w\[\]]+)? ?= ?(` + stringLiteral + `|\d+|True|False|\[[\d, ]*\]))`)

// scan finds the calls and the named values of a text, in order, and does not mind anything else.
func scan(text string) []item {
	var out []item
	for _, m := range items.FindAllStringSubmatch(text, -1) {
		switch {
		case m[2] != "":
			out = append(out, item{name: m[1], value: literal(m[2])})
		case strings.HasSuffix(m[0], "("):
			out = append(out, item{call: m[1]})
		}
	}
	return out
}

var escapes = strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\"`, `"`, `\n`, "\n", `\t`, "\t")

func literal(s string) string {
	if len(s) >= 2 && strings.ContainsRune(`'"[`, rune(s[0])) {
		return escapes.Replace(s[1 : len(s)-1])
	}
	return s
}

// last is the last value of a name.
func last(all []item, name string) (string, bool) {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].name == name {
			return all[i].value, true
		}
	}
	return "", false
}

// calls says whether there is a call of a name.
func calls(all []item, name string) bool {
	for _, it := range all {
		if it.call == name {
			return true
		}
	}
	return false
}

// numbers are the integers of a text.
func numbers(text string) []int {
	var out []int
	for _, f := range strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
		if n, err := strconv.Atoi(f); err == nil {
			out = append(out, n)
		}
	}
	return out
}

var citation = regexp.MustCompile(`\s*\[link[ _]id\s*=\s*([\d, ]+)\]`)

// uncited is a text without its citations, blanks trimmed and no full stop at the end.
func uncited(text string) string {
	return strings.TrimSuffix(strings.TrimSpace(citation.ReplaceAllString(text, "")), ".")
}

// cited are the links that a text cites.
func cited(text string) []int {
	var out []int
	for _, m := range citation.FindAllStringSubmatch(text, -1) {
		out = append(out, numbers(m[1])...)
	}
	return out
}
