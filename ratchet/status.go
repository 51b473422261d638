package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/runstate"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type statusCommand struct {
	Name  string `arg:"" optional:"" name:"run" predictor:"run" help:"One run; all of them if left out."`
	Watch bool   `short:"w" help:"Go on until interrupted: redraw on a terminal, print changes elsewhere."`
}

func (statusCommand) Help() string {
	return `Runs that need somebody come first.

    ratchet status
    ratchet status demo-7f3a --watch
    ratchet status -o json`
}

// watchEvery is how often --watch looks.
const watchEvery = time.Second

func (c *statusCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if !c.Watch {
		text, err := c.look(ctx, in, s)
		if err == nil {
			_, err = fmt.Fprint(in.out, text)
		}
		return err
	}
	return c.watch(ctx, in, s)
}

// look renders the state once.
func (c *statusCommand) look(ctx context.Context, in *invocation, s *session) (string, error) {
	now := time.Now()
	if c.Name != "" {
		state, err := s.state(ctx, c.Name)
		if err != nil {
			return "", err
		}
		return in.render(state, []string{state.Run}, func(p view.Paint) string { return view.Run(state, now, p) })
	}
	names, err := s.names(ctx)
	if err != nil {
		return "", err
	}
	states := []runstate.State{}
	for _, name := range names {
		state, err := s.state(ctx, name)
		if err != nil {
			return "", err
		}
		states = append(states, state)
	}
	view.ByAttention(states, now)
	names = names[:0]
	for _, state := range states {
		names = append(names, state.Run)
	}
	return in.render(states, names, func(p view.Paint) string { return view.Runs(states, now, in.wide(), p) })
}

// watch looks until the context ends. Off a terminal only lines that have changed are printed.
func (c *statusCommand) watch(ctx context.Context, in *invocation, s *session) error {
	screen := view.NewScreen(in.out)
	var last []string
	for {
		text, err := c.look(ctx, in, s)
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
		if isTerminal(in.out) {
			err = screen.Redraw(lines)
		} else {
			_, err = fmt.Fprint(in.out, changes(last, lines))
		}
		if err != nil {
			return fmt.Errorf("print the status: %w", err)
		}
		last = lines
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// changes is the lines that were not there before. What merely grows older is no change.
func changes(before, now []string) string {
	var b strings.Builder
	for _, line := range now {
		if !slices.ContainsFunc(before, func(old string) bool { return ageless(old) == ageless(line) }) {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// ageless is a line without the words that change by themselves.
func ageless(line string) string {
	var words []string
	for cell := range strings.SplitSeq(line, "  ") {
		if !strings.HasSuffix(cell, " ago") && !strings.HasSuffix(cell, " so far") {
			words = append(words, strings.TrimSpace(cell))
		}
	}
	return strings.Join(words, " ")
}
