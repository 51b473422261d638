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

// scan finds the calls and the named values of a text, in order, and does not mind anything else. A quote opens a
// string only behind an equals sign, so apostrophes in comments do no harm.
func scan(text string) []item {
	var out []item
	for at := 0; at < len(text); {
		end := span(text, at, wordByte)
		switch {
		case end == at:
			at++
		case end < len(text) && text[end] == '(':
			out = append(out, item{call: text[at:end]})
			at = end + 1
		default:
			name, value := text[at:end], assigned(text, end)
			if at = max(end, value); value > end {
				if at = literalEnd(text, value); at > value {
					out = append(out, item{name: name, value: literal(text[value:at])})
				}
			}
		}
	}
	return out
}

// span is where the bytes that are in a set end.
func span(text string, at int, in func(byte) bool) int {
	for at < len(text) && in(text[at]) {
		at++
	}
	return at
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// assigned is where the value of `name = value` or `name: type = value` begins, behind the name; the name's end if it
// is not assigned to.
func assigned(text string, end int) int {
	blank := func(c byte) bool { return c == ' ' }
	at := end
	if at < len(text) && text[at] == ':' {
		at = span(text, span(text, at+1, blank), func(c byte) bool { return wordByte(c) || c == '[' || c == ']' })
	}
	if at = span(text, at, blank); at >= len(text) || text[at] != '=' {
		return end
	}
	return span(text, at+1, blank)
}

// literalEnd is where a string, number, boolean or list of numbers ends; where it begins if there is none.
func literalEnd(text string, at int) int {
	if at >= len(text) {
		return at
	}
	switch c := text[at]; {
	case c == '\'' || c == '"':
		for end := at + 1; end < len(text); end++ {
			switch text[end] {
			case '\\':
				end++
			case c:
				return end + 1
			}
		}
	case c == '[':
		end := span(text, at+1, func(c byte) bool { return c >= '0' && c <= '9' || c == ',' || c == ' ' })
		if end < len(text) && text[end] == ']' {
			return end + 1
		}
	case c >= '0' && c <= '9':
		return span(text, at, func(c byte) bool { return c >= '0' && c <= '9' })
	}
	for _, word := range []string{"True", "False"} {
		if strings.HasPrefix(text[at:], word) {
			return at + len(word)
		}
	}
	return at
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
