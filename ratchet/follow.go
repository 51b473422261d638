package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	"github.com/ratchet-rl/ratchet/internal/telemetry"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

const (
	redrawEvery = 250 * time.Millisecond
	plainEvery  = 30 * time.Second
	// rateWindow is what speeds are measured over.
	rateWindow = 5 * time.Second
)

// follower shows a run's progress until it is finished.
type follower struct {
	in      *invocation
	session *session
	run     string
	// mode is tty, plain, json or quiet.
	mode string

	state   runstate.State
	results history.Results
	seen    moment
	printed int // milestones
	lead    int // the generation whose name stands in front of the last printed line
	meter   meter
	said    time.Time // when the last plain line was printed
	trouble string    // why the state cannot be read
}

// moment is what a run's results depend on.
type moment struct {
	phase            string
	generation, look int
	paused, finished bool
}

func momentOf(s runstate.State) moment {
	return moment{s.Phase, s.Generation, s.Look, s.Paused, s.Finished}
}

// follow shows progress on standard error until the run is finished or ctx ends.
func (s *session) follow(ctx context.Context, in *invocation, run string) (history.Results, runstate.State, error) {
	f := &follower{in: in, session: s, run: run, mode: progressMode(in), lead: -1}
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		err := f.look(ctx)
		if ctx.Err() != nil {
			return f.results, f.state, context.Cause(ctx)
		}
		if err != nil {
			return f.results, f.state, err
		}
		if f.state.Finished {
			return f.results, f.state, f.in.screen.Redraw(nil)
		}
		select {
		case <-ctx.Done():
			return f.results, f.state, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func progressMode(in *invocation) string {
	if in.Progress != "auto" {
		return in.Progress
	}
	if isTerminal(in.err) {
		return "tty"
	}
	return "plain"
}

// look reads the state, and the results if something has ended, and shows both. Trouble with the bus is shown
// and tried again; an unknown run is an error.
func (f *follower) look(ctx context.Context) error {
	state, err := f.session.state(ctx, f.run)
	if codeOf(err) == exitNotFound {
		return err
	}
	if err == nil && momentOf(state) != f.seen {
		f.results, err = history.ReadResults(ctx, f.session.bus, f.run)
	}
	if err != nil {
		return f.complain(err)
	}
	changed := momentOf(state) != f.seen
	f.state, f.seen, f.trouble = state, momentOf(state), ""
	f.meter.add(time.Now(), state)
	return f.show(changed, f.pulse(ctx))
}

// complain tells of trouble once.
func (f *follower) complain(err error) error {
	if f.trouble == err.Error() || f.mode == "quiet" {
		return nil
	}
	f.trouble = err.Error()
	return f.in.screen.Print("cannot see the run, which goes on; trying again: " + view.Safe(err.Error()))
}

func (f *follower) pulse(ctx context.Context) view.Pulse {
	p := view.Pulse{}
	p.CallsPerSecond, p.ItemsPerSecond = f.meter.rates()
	if f.mode != "tty" {
		return p
	}
	if depth, err := f.session.bus.Depth(ctx, bus.TaskSource("rollout")); err == nil {
		p.Waiting, p.InFlight = depth.Waiting, depth.InFlight
	}
	p.Jobs = f.jobs(ctx)
	return p
}

// jobs is the last word of each training job, while there are some.
func (f *follower) jobs(ctx context.Context) []*pb.Job {
	if f.state.Phase != "train" {
		return nil
	}
	var all []*pb.Job
	for _, p := range f.state.Progress {
		if p.Phase != f.state.Phase || p.Generation != f.state.Generation {
			continue
		}
		m, err := f.session.bus.Last(ctx, bus.Training, bus.TrainingSubject(f.run, p.Generation, p.Target, "job"))
		if err != nil {
			continue // it has not begun
		}
		if ev, err := m.Event(ctx); err == nil && ev.GetJob() != nil {
			all = append(all, ev.GetJob())
		}
	}
	return all
}

func (f *follower) show(changed bool, pulse view.Pulse) error {
	fresh := view.Milestones(f.state, f.results)
	fresh = fresh[min(f.printed, len(fresh)):]
	f.printed += len(fresh)
	now := time.Now()
	switch f.mode {
	case "tty":
		return f.draw(fresh, pulse, now)
	case "plain":
		return f.log(fresh, changed, pulse, now)
	case "json":
		return f.encode(fresh, changed, now)
	}
	return nil
}

func (f *follower) draw(fresh []view.Milestone, pulse view.Pulse, now time.Time) error {
	p, columns := f.in.paint(f.in.err), width(f.in.err)
	for _, m := range fresh {
		if err := f.in.screen.Print(m.Line(m.Generation != f.lead, p)); err != nil {
			return err
		}
		f.lead = m.Generation
	}
	if f.state.Finished {
		return f.in.screen.Redraw(nil)
	}
	return f.in.screen.Redraw(view.Live(f.state, pulse, now, columns-1))
}

func (f *follower) log(fresh []view.Milestone, changed bool, pulse view.Pulse, now time.Time) error {
	for _, m := range fresh {
		if err := f.in.screen.Print(m.Plain(f.run, now)); err != nil {
			return err
		}
	}
	if !changed && now.Sub(f.said) < plainEvery {
		return nil
	}
	f.said = now
	return f.in.screen.Print(view.Plain(f.state, pulse, now))
}

func (f *follower) encode(fresh []view.Milestone, changed bool, now time.Time) error {
	lines := json.NewEncoder(telemetry.JSONWriter(f.in.err))
	for _, m := range fresh {
		if err := lines.Encode(m); err != nil {
			return fmt.Errorf("print progress: %w", err)
		}
	}
	if !changed && now.Sub(f.said) < plainEvery {
		return nil
	}
	f.said = now
	return lines.Encode(f.state)
}

// meter measures speeds over the last seconds.
type meter struct{ samples []sample }

type sample struct {
	at           time.Time
	calls, items int64
	phase        moment
}

func (m *meter) add(now time.Time, s runstate.State) {
	m.samples = append(m.samples, sample{at: now, calls: s.Usage.Calls, items: view.Finished(s), phase: momentOf(s)})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > rateWindow {
		m.samples = m.samples[1:]
	}
}

// rates are per second; items only of the present phase.
func (m *meter) rates() (calls, items float64) {
	if len(m.samples) < 2 {
		return 0, 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0, 0
	}
	calls = float64(last.calls-first.calls) / seconds
	if first.phase == last.phase {
		items = float64(last.items-first.items) / seconds
	}
	return calls, items
}

// followToEnd follows a run and prints its table.
func (s *session) followToEnd(ctx context.Context, in *invocation, run string, exitStatus bool) error {
	results, state, err := s.follow(ctx, in, run)
	if err != nil {
		return err
	}
	r := report{Results: results, State: state, Usage: history.Usage(state.Usage)}
	err = in.print(r, []string{run}, func(p view.Paint) string { return view.Finish(r.Results, r.Usage, r.State, p) })
	if err == nil && exitStatus {
		return verdictOf(results)
	}
	return err
}
