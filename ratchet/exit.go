package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/dataset"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

// Exit codes; `ratchet help exit-codes` tells the same.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitUnreachable = 5
	exitRejected    = 6
	exitUndecided   = 7
	exitInterrupted = 130
)

// failure is an error with its exit code and what to do about it.
type failure struct {
	code int
	err  error
	fix  string
}

func (f *failure) Error() string {
	if f.fix == "" {
		return f.err.Error()
	}
	return f.err.Error() + "\n  fix: " + f.fix
}

func (f *failure) Unwrap() error { return f.err }

func usage(err error, fix string) error { return &failure{code: exitUsage, err: err, fix: fix} }

func refused(fix, format string, args ...any) error {
	return &failure{code: exitRefused, err: fmt.Errorf(format, args...), fix: fix}
}

func notFound(fix, format string, args ...any) error {
	return &failure{code: exitNotFound, err: fmt.Errorf(format, args...), fix: fix}
}

// silent is an exit code that was already explained by what was printed.
type silent int

func (s silent) Error() string { return fmt.Sprintf("exit %d", int(s)) }

// codeOf is the exit code of an error.
func codeOf(err error) int {
	var f *failure
	var quiet silent
	var wrongConfig *config.Error
	var wrongData *dataset.Error
	var answer *bus.RequestError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return int(quiet)
	case errors.As(err, &f):
		return f.code
	case errors.As(err, &wrongConfig), errors.As(err, &wrongData):
		return exitUsage
	case errors.Is(err, bus.ErrNotFound):
		return exitNotFound
	case errors.Is(err, bus.ErrDenied):
		return exitRefused
	case errors.As(err, &answer):
		return codeOfAnswer(answer.Text)
	case errors.Is(err, bus.ErrNobody), errors.Is(err, context.DeadlineExceeded):
		return exitUnreachable
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

// codeOfAnswer reads the coordinator's answer: errors cross the bus as text.
func codeOfAnswer(text string) int {
	switch {
	case strings.HasPrefix(text, "refused"):
		return exitRefused
	case strings.Contains(text, bus.ErrNotFound.Error()):
		return exitNotFound
	}
	return exitFailed
}

// complain prints an error, one by one if it is several, and returns its exit code.
func complain(w io.Writer, p view.Paint, err error) int {
	code := codeOf(err)
	var quiet silent
	if err == nil || errors.As(err, &quiet) {
		return code
	}
	if errors.Is(err, context.Canceled) && code == exitInterrupted {
		fmt.Fprintln(w, "interrupted")
		return code
	}
	for _, text := range alike(split(err)) {
		fmt.Fprintln(w, p.Bad("error:")+" "+text)
	}
	return code
}

// split takes apart errors that were joined; an error that merely wraps several is one.
func split(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, split(one)...)
	}
	return all
}

// alike prints errors, those of the same text once with their number.
func alike(all []error) []string {
	var texts []string
	times := map[string]int{}
	for _, err := range all {
		text := strings.Join(view.Lines(err.Error(), longLine), "\n")
		if times[text]++; times[text] == 1 {
			texts = append(texts, text)
		}
	}
	for i, text := range texts {
		if n := times[text]; n > 1 {
			texts[i] = fmt.Sprintf("%s (%d times)", text, n)
		}
	}
	return texts
}

// longLine keeps messages on their lines; the terminal wraps them.
const longLine = 4096
