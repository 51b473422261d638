package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Error is one thing wrong with a file, an environment variable or a flag.
type Error struct {
	// Place is file:line, a variable's name or a flag.
	Place string
	// Key is the setting's path, such as policy.candidates; empty where Problem says it all.
	Key     string
	Problem string
	// Fix is what to do about it; may be empty.
	Fix string
}

// Error is the cause, and below it the remedy.
func (e *Error) Error() string {
	var b strings.Builder
	for _, part := range []string{e.Place, e.Key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(e.Problem)
	if e.Fix != "" {
		b.WriteString("\n  fix: " + e.Fix)
	}
	return b.String()
}

// nearest is the candidate that text was probably meant to be, empty if none is near.
func nearest(text string, candidates []string) string {
	best, distance := "", 1+max(2, len(text)/3)
	for _, candidate := range candidates {
		if d := levenshtein.ComputeDistance(text, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// unknown says that no key has this name, and which was probably meant.
func unknown(place, key string, candidates []string) *Error {
	problem := fmt.Sprintf("unknown key %q", key)
	if meant := nearest(key, candidates); meant != "" {
		return &Error{Place: place, Problem: problem + fmt.Sprintf("; did you mean %q?", meant)}
	}
	return &Error{Place: place, Problem: problem, Fix: "use one of: " + strings.Join(candidates, ", ")}
}

// problems collects what is wrong, so that an operator sees all of it at once.
type problems []error

func (p *problems) add(err error) {
	if err != nil {
		*p = append(*p, err)
	}
}

func (p problems) err() error { return errors.Join(p...) }
