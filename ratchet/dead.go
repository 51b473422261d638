package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type deadCommand struct {
	List   deadListCommand   `cmd:"" default:"withargs" help:"List dead letters, those of one cause on one line."`
	Show   deadShowCommand   `cmd:"" help:"Show one dead letter with its original message."`
	Replay deadReplayCommand `cmd:"" help:"Put dead letters' tasks back on the queue."`
}

// deadFilter selects letters.
type deadFilter struct {
	Name  string `name:"run" predictor:"run" help:"Of this run only."`
	Kind  string `help:"Of this worker kind only."`
	Class string `help:"Of this failure class only."`
}

func (f deadFilter) keeps(d view.DeadLetter) bool {
	return (f.Name == "" || f.Name == d.Run) && (f.Kind == "" || f.Kind == d.Letter.GetKind()) &&
		(f.Class == "" || f.Class == bus.ClassName(d.Letter.GetFailure()))
}

// deadLetters reads the letters that the filter keeps, oldest first.
func (s *session) deadLetters(ctx context.Context, f deadFilter) ([]view.DeadLetter, error) {
	var all []view.DeadLetter
	for m, err := range s.bus.Read(ctx, bus.Dead) {
		if err != nil {
			return nil, fmt.Errorf("read dead letters: %w", err)
		}
		ev, err := m.Event(ctx)
		if errors.Is(err, bus.ErrRejected) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read dead letter %d: %w", m.Seq, err)
		}
		d := view.DeadLetter{Seq: m.Seq, Run: ev.GetRun(), When: m.Time.Local().Format(time.DateTime), Letter: ev.GetDeadLetter()}
		if f.keeps(d) {
			all = append(all, d)
		}
	}
	return all, nil
}

type deadListCommand struct{ deadFilter }

func (deadListCommand) Help() string {
	return `    ratchet dead list
    ratchet dead list --run demo-7f3a --kind rollout
    ratchet dead list -o json`
}

func (c *deadListCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	all, err := s.deadLetters(ctx, c.deadFilter)
	if err != nil {
		return err
	}
	var names []string
	out := []any{}
	for _, d := range all {
		names = append(names, fmt.Sprint(d.Seq))
		out = append(out, deadJSON(d))
	}
	return in.print(out, names, func(p view.Paint) string { return view.DeadLetters(all, p) })
}

// deadJSON is a letter with its payload decoded.
func deadJSON(d view.DeadLetter) any {
	payload := json.RawMessage("null")
	if ev, err := bus.Decode("", d.Letter.GetPayload()); err == nil {
		payload = history.JSON(ev)[0]
	}
	identities := []string{}
	for _, id := range d.Letter.GetIdentities() {
		identities = append(identities, bus.IDTokens(id))
	}
	return map[string]any{
		"seq": d.Seq, "run": d.Run, "when": d.When, "kind": d.Letter.GetKind(), "class": bus.ClassName(d.Letter.GetFailure()),
		"error": d.Letter.GetError(), "attempts": d.Letter.GetAttempts(), "subject": d.Letter.GetSubject(), "identities": identities,
		"payload": payload,
	}
}

type deadShowCommand struct {
	Seq uint64 `arg:"" help:"Its number in the list."`
}

func (c *deadShowCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	all, err := s.deadLetters(ctx, deadFilter{})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(d view.DeadLetter) bool { return d.Seq == c.Seq })
	if i < 0 {
		return notFound("`ratchet dead list -o name` lists them", "no dead letter %d", c.Seq)
	}
	return in.print(deadJSON(all[i]), []string{fmt.Sprint(c.Seq)}, func(p view.Paint) string { return deadText(all[i], p, width(in.out)) })
}

// deadText is one letter for people.
func deadText(d view.DeadLetter, p view.Paint, columns int) string {
	l := d.Letter
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  run %s  %d attempts  %s\n", p.Bold(fmt.Sprint(d.Seq)), p.Bad(bus.ClassName(l.GetFailure())), view.Safe(d.Run), l.GetAttempts(), d.When)
	fmt.Fprintf(&b, "subject  %s\n", view.Safe(l.GetSubject()))
	for _, line := range view.Lines("error    "+l.GetError(), columns) {
		b.WriteString(line + "\n")
	}
	for _, id := range l.GetIdentities() {
		fmt.Fprintf(&b, "trajectory  %s\n", view.Safe(bus.IDTokens(id)))
	}
	text := fmt.Sprintf("%d bytes that cannot be decoded", len(l.GetPayload()))
	if ev, err := bus.Decode("", l.GetPayload()); err == nil {
		text = indented(ev)
	}
	for _, line := range view.Lines(text, columns) {
		b.WriteString(line + "\n")
	}
	return b.String()
}

type deadReplayCommand struct {
	deadFilter
	Seqs   []uint64 `arg:"" optional:"" name:"seq" help:"Numbers of the list; all that the flags select if left out."`
	DryRun bool     `help:"Only say how many."`
}

func (deadReplayCommand) Help() string {
	return `Mend the cause first. Results that are there already are not made again.

    ratchet dead replay 17 18
    ratchet dead replay --run demo-7f3a --class endpoint --dry-run
    ratchet dead replay --run demo-7f3a --yes`
}

func (c *deadReplayCommand) Run(ctx context.Context, in *invocation) error {
	if len(c.Seqs) == 0 && c.deadFilter == (deadFilter{}) {
		return usage(errors.New("nothing selected to replay"), "name numbers of the list, or --run, --kind or --class")
	}
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	all, err := s.deadLetters(ctx, c.deadFilter)
	if err != nil {
		return err
	}
	if len(c.Seqs) > 0 {
		all = slices.DeleteFunc(all, func(d view.DeadLetter) bool { return !slices.Contains(c.Seqs, d.Seq) })
	}
	if len(all) == 0 {
		return notFound("`ratchet dead list` lists them", "no such dead letter")
	}
	what := fmt.Sprintf("replay %d dead letters", len(all))
	if c.DryRun {
		in.note("would %s", what)
		return nil
	}
	if err := in.confirm(what); err != nil {
		return err
	}
	return s.replay(ctx, in, all)
}

// replay puts each back and goes on after one that cannot be.
func (s *session) replay(ctx context.Context, in *invocation, all []view.DeadLetter) error {
	var wrong []error
	for _, d := range all {
		if err := s.bus.Replay(ctx, d.Letter); err != nil {
			wrong = append(wrong, err)
			continue
		}
		if err := s.bus.Delete(ctx, bus.Dead, d.Seq); err != nil {
			wrong = append(wrong, fmt.Errorf("remove dead letter %d, which is replayed: %w", d.Seq, err))
		}
	}
	in.note("replayed %d of %d", len(all)-len(wrong), len(all))
	return errors.Join(wrong...)
}
