package interchange

import (
	"fmt"
	"strings"
)

// Error says what is wrong with a record, and where. The records after it can still be read.
type Error struct {
	Place    string // file:line
	Problem  string
	Expected string
	Err      error
}

func (e *Error) Error() string {
	text := e.Place + ": " + e.Problem
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Expected != "" {
		text += "\n  expected " + e.Expected
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// shorten makes text of a file fit for a message.
func shorten(text string) string {
	const most = 60
	text = strings.ToValidUTF8(text, "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return fmt.Sprintf("%q", text)
}
