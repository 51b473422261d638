package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Error says what is wrong with a set of questions and what to do about it.
type Error struct {
	Place    string // file:line, or file: row n where the form has no lines
	Problem  string
	Found    string // what is there instead
	Expected string
	Fix      string
	Err      error // the cause, if another package found the fault
}

// Error is the cause, the evidence and the remedy, a line each.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Place, e.Problem)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	switch {
	case e.Found != "":
		fmt.Fprintf(&b, "\n  %s; expected %s", e.Found, e.Expected)
	case e.Expected != "":
		fmt.Fprintf(&b, "\n  expected %s", e.Expected)
	}
	if e.Fix != "" {
		fmt.Fprintf(&b, "\n  fix: %s", e.Fix)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// missing is the Error of a row without the field that setting names.
func missing(r row, what, setting, named string, expected []string) error {
	e := &Error{
		Place: r.place, Problem: "no " + what,
		Found: "keys: " + keyList(r.fields), Expected: strings.Join(expected[:len(expected)-1], ", ") + " or " + expected[len(expected)-1],
		Fix: fmt.Sprintf("name the field that holds it, as %s beside path in run.yaml", setting),
	}
	if named != "" {
		e.Problem = fmt.Sprintf("no field %q, which %s names", named, setting)
		e.Expected = "that field in every row"
		expected = []string{named}
	}
	if near := nearest(r.fields, expected); near != "" {
		e.Fix = fmt.Sprintf("set %s: %s beside path in run.yaml", setting, near)
	}
	return e
}

const maxKeysShown = 12

func keyList(fields map[string]any) string {
	keys := slices.Sorted(maps.Keys(fields))
	if len(keys) == 0 {
		return "none"
	}
	for i, k := range keys {
		keys[i] = shorten(k)
	}
	if more := len(keys) - maxKeysShown; more > 0 {
		keys = append(keys[:maxKeysShown], fmt.Sprintf("%d more", more))
	}
	return strings.Join(keys, ", ")
}

// nearest is the key most like one of the expected names, else the one of no known meaning with the longest text.
func nearest(fields map[string]any, expected []string) string {
	best, bestDistance, longest, longestText := "", 4, "", 0
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		text, isText := fields[key].(string)
		if slices.Contains(idKeys, key) || isText && strings.TrimSpace(text) == "" {
			continue
		}
		for _, name := range expected {
			if d := levenshtein.ComputeDistance(strings.ToLower(key), strings.ToLower(name)); 0 < d && d < bestDistance {
				best, bestDistance = key, d
			}
		}
		known := slices.Contains(answerKeys, key) || slices.Contains(questionKeys, key)
		if isText && len(text) > longestText && !known {
			longest, longestText = key, len(text)
		}
	}
	if best != "" {
		return best
	}
	return longest
}

// shorten makes text of a file fit for a message.
func shorten(s string) string {
	const most = 60
	s = strings.ToValidUTF8(s, "?")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
