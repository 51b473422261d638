package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// Milestone is something that has happened in a run for good.
type Milestone struct {
	Generation int    `json:"generation"`
	What       string `json:"what"`
	// Done is how much of what was expected, "600/600"; empty for a ruling.
	Done string `json:"done,omitempty"`
	// Took is empty where it is not known.
	Took string `json:"took,omitempty"`
	Text string `json:"text"`
}

// Milestones lists what has happened, in order, as far as it can be told: a phase once it has ended and its
// results are known. It only ever grows at its end, so a renderer prints what it has not printed yet.
func Milestones(s runstate.State, r history.Results) []Milestone {
	var all []Milestone
	for generation := 0; generation <= s.Generation; generation++ {
		m, complete := round(s, r, generation)
		all = append(all, m...)
		if !complete {
			return all
		}
	}
	if s.Finished {
		all = append(all, Milestone{Generation: s.Generation, What: "done", Text: s.Reason})
	}
	return all
}

// round is the milestones of a generation; complete says that there will be no more.
func round(s runstate.State, r history.Results, generation int) ([]Milestone, bool) {
	g := r.At(generation)
	var all []Milestone
	for _, step := range []struct {
		phase string
		known bool // its results are there
		text  func() string
	}{
		{"baseline", g.Report("own") != nil, func() string { return finals(g) }},
		{"grow", true, func() string { return outcomes(phase(s, generation, "grow")) }},
		{"rank", g.Mixture != nil, func() string { return changed(g.Mixture) }},
		{"build", g.Mixture != nil, func() string { return examples(g.Mixture) }},
		{"train", true, func() string { return checkpoints(g) }},
		{"deploy", true, func() string { return policies(g) }},
		{"evaluate", g.Decision() != nil, func() string { return finals(g) }},
	} {
		began, ended, d := span(s, generation, step.phase)
		if began.IsZero() {
			if step.phase == "baseline" && generation > 0 || step.phase != "baseline" && generation == 0 {
				continue
			}
			return all, generation < s.Generation || s.Finished
		}
		if ended.IsZero() || !step.known {
			return all, s.Finished
		}
		all = append(all, Milestone{
			Generation: generation, What: step.phase, Done: d.fraction(), Took: Took(ended.Sub(began)), Text: step.text(),
		})
	}
	if generation == 0 {
		return all, true
	}
	decided := g.Decision()
	if decided.GetRuling() == pb.Ruling_RULING_CONTINUE {
		return all, s.Finished
	}
	return append(all, ruling(generation, decided)), true
}

// span is from when to when a phase went on; ended is zero while it does.
func span(s runstate.State, generation int, name string) (began, ended time.Time, d done) {
	open := false
	for _, p := range s.Progress {
		if p.Generation != generation || p.Phase != name {
			continue
		}
		if began.IsZero() || p.Started.Before(began) {
			began = p.Started
		}
		if p.Ended.After(ended) {
			ended = p.Ended
		}
		open = open || p.Ended.IsZero()
	}
	if open {
		ended = time.Time{}
	}
	return began, ended, phase(s, generation, name)
}

// finals is the accuracy of each target's final answers.
func finals(g history.Generation) string {
	var parts []string
	for _, target := range (history.Results{Generations: []history.Generation{g}}).Targets() {
		text := "final " + Accuracy(g.Report(target).GetAnswer()) + " %"
		if target != "own" {
			text = Safe(target) + " " + text
		}
		parts = append(parts, text)
	}
	if report := g.Report("own"); report.GetMissing() > 0 {
		parts = append(parts, fmt.Sprintf("%d verdicts missing", report.GetMissing()))
	}
	return strings.Join(parts, ", ")
}

func outcomes(d done) string {
	text := Count(d.completed) + " completed"
	if d.failed > 0 {
		text += fmt.Sprintf(", %s failed (%s)", Count(d.failed), Classes(d.classes))
	}
	if d.dead > 0 {
		text += fmt.Sprintf(", %s dead", Count(d.dead))
	}
	return text
}

func changed(m *pb.Mixture) string {
	return fmt.Sprintf("judge changed %s of the targets", share(m.GetChanged(), m.GetExamples()))
}

func examples(m *pb.Mixture) string {
	return fmt.Sprintf("%s examples of %s trajectories, mixture %s", Count(m.GetExamples()), Count(m.GetTrajectories()), Safe(m.GetId()))
}

func checkpoints(g history.Generation) string {
	var parts []string
	for _, c := range g.Checkpoints {
		parts = append(parts, Safe(c.GetTarget())+" "+Safe(c.GetId()))
	}
	return "checkpoint " + strings.Join(parts, ", ")
}

func policies(g history.Generation) string {
	var parts []string
	for _, d := range g.Deployments {
		parts = append(parts, Safe(d.GetPolicy().GetName()))
	}
	return "policy " + strings.Join(parts, ", ")
}

// ruling is the line that a generation is about.
func ruling(generation int, d *pb.Decision) Milestone {
	m := Milestone{Generation: generation, What: "decide", Text: Ruling(d.GetRuling())}
	switch d.GetRuling() {
	case pb.Ruling_RULING_PROMOTE:
		m.What = "PROMOTE"
	case pb.Ruling_RULING_REJECT:
		m.What = "REJECT"
	case pb.Ruling_RULING_UNDECIDED:
		m.What = "UNDECIDED"
	}
	m.Text = fmt.Sprintf("%s points (%.4g %%: %s to %s)", points(d.GetEffect()), 100*(1-d.GetAlpha()), trimPlus(d.GetLow()), trimPlus(d.GetHigh()))
	return m
}

func trimPlus(x float64) string { return strings.TrimPrefix(points(x), "+") }

// Line prints a milestone; lead says whether to name its generation.
func (m Milestone) Line(lead bool, p Paint) string {
	head := strings.Repeat(" ", 7)
	if lead {
		head = fmt.Sprintf("%-7s", fmt.Sprintf("gen %d", m.Generation))
	}
	what := p.State(m.What) + strings.Repeat(" ", max(0, 9-len(m.What)))
	if m.Done == "" {
		return head + what + " " + Safe(m.Text)
	}
	return fmt.Sprintf("%s%s %9s %8s  %s", head, what, m.Done, m.Took, Safe(m.Text))
}

// Pulse is what is measured between two looks at a run.
type Pulse struct {
	// CallsPerSecond and ItemsPerSecond are over the last seconds; ItemsPerSecond is of the present phase.
	CallsPerSecond, ItemsPerSecond float64
	// Waiting and InFlight are tasks of the rollout queue.
	Waiting, InFlight uint64
	// Jobs are the training jobs of the present phase.
	Jobs []*pb.Job
}

// barWidth is the width of the progress bar in columns.
const barWidth = 14

// Live prints the two lines that redraw: where the run is, and what it works on.
func Live(s runstate.State, pulse Pulse, now time.Time, width int) []string {
	d := current(s)
	if s.Paused {
		return []string{Cut(fmt.Sprintf("gen %-2d %s  paused: %s", s.Generation, s.Phase, s.Reason), width)}
	}
	first := fmt.Sprintf("gen %d  %-8s", s.Generation, s.Phase)
	switch {
	case len(pulse.Jobs) > 0:
		first += " " + jobs(pulse.Jobs) + "  " + Took(now.Sub(s.Entered))
	case d.expected > 1:
		first += fmt.Sprintf(" [%s] %s  %.0f calls/s  ETA %s  failed %s", bar(d), d.fraction(), pulse.CallsPerSecond, eta(d, pulse), failed(d))
	default:
		first += "  " + Took(now.Sub(s.Entered))
	}
	second := fmt.Sprintf("       tasks waiting %d, in flight %d   dead %s   %s calls   %s tokens",
		pulse.Waiting, pulse.InFlight, Count(d.dead), Count(s.Usage.Calls), Short(s.Usage.Tokens()))
	return []string{Cut(first, width), Cut(second, width)}
}

// jobs prints how far training is: "own 340/1500 loss 0.31, small done".
func jobs(all []*pb.Job) string {
	var parts []string
	for _, j := range all {
		text := Safe(j.GetTarget())
		switch {
		case j.GetState() == pb.JobState_JOB_STATE_SUCCEEDED:
			text += " done"
		case j.GetTotal() > 0:
			text += fmt.Sprintf(" %s/%s loss %.3f", Count(j.GetDone()), Count(j.GetTotal()), j.GetLoss())
		default:
			text += " " + strings.ToLower(strings.TrimPrefix(j.GetState().String(), "JOB_STATE_"))
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func bar(d done) string {
	filled := int(min(1, float64(d.finished())/float64(d.expected)) * barWidth)
	text := strings.Repeat("=", filled)
	if filled < barWidth {
		text += ">" + strings.Repeat(" ", barWidth-filled-1)
	}
	return text
}

func failed(d done) string {
	if d.failed == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s)", Count(d.failed), Classes(d.classes))
}

// eta is how long the rest of the phase takes at the present speed, "?" while nobody can say.
func eta(d done, pulse Pulse) string {
	left := d.expected - d.finished()
	switch {
	case left <= 0:
		return "0 s"
	case pulse.ItemsPerSecond <= 0:
		return "?"
	}
	return Took(time.Duration(float64(left) / pulse.ItemsPerSecond * float64(time.Second)))
}

// Plain is Live as one line for a log: 12:03:41 run=demo-7f3a gen=2 phase=grow done=232/400 failed=0 eta=5s.
func Plain(s runstate.State, pulse Pulse, now time.Time) string {
	d := current(s)
	line := fmt.Sprintf("%s run=%s gen=%d phase=%s", now.Format(time.TimeOnly), Safe(s.Run), s.Generation, Safe(s.Phase))
	if d.expected > 0 {
		line += fmt.Sprintf(" done=%d/%d failed=%d dead=%d eta=%s", d.finished(), d.expected, d.failed, d.dead, strings.ReplaceAll(eta(d, pulse), " ", ""))
	}
	if s.Reason != "" {
		line += fmt.Sprintf(" why=%q", Safe(s.Reason))
	}
	return line
}

// Plain is the milestone as one line for a log.
func (m Milestone) Plain(run string, now time.Time) string {
	line := fmt.Sprintf("%s run=%s gen=%d %s", now.Format(time.TimeOnly), Safe(run), m.Generation, m.What)
	if m.Done != "" {
		line += fmt.Sprintf(" done=%s took=%s", m.Done, strings.ReplaceAll(m.Took, " ", ""))
	}
	return line + ": " + Safe(m.Text)
}
