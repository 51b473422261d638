package sizing

import (
	"fmt"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
)

// What one message takes with four candidates a step, in bytes, headers and the server's record included. Measured in the
// demo, whose policy and judge say little: 7.1, 1.2 and 0.8 kB for trajectory, feedback and verdict; a language model
// says more.
const (
	perTrajectory = 12 << 10
	perStep       = 2 << 10
	perFeedback   = 4 << 10
	perVerdict    = 1 << 10
	// measuredCandidates is how many candidates a step had then; trajectories and steps consist of little else.
	measuredCandidates = 4
	// typicalSteps of a trajectory: the budget allows more, few use it.
	typicalSteps = 8
	// enough messages to trust their average.
	enough = 1000
)

// Need is what a run puts into one stream.
type Need struct {
	Stream   string `json:"stream"`
	Messages int64  `json:"messages"`
	// Each is the bytes of one message.
	Each int64 `json:"each"`
}

// Bytes of all messages.
func (n Need) Bytes() int64 { return n.Messages * n.Each }

// Total of the needs, in bytes.
func Total(needs []Need) (bytes int64) {
	for _, n := range needs {
		bytes += n.Bytes()
	}
	return bytes
}

// Of is what a run needs if it goes through all its generations. The streams, if they are known, tell how large
// messages are here.
func Of(run config.Run, streams []bus.StreamState) []Need {
	held := int64(run.Evaluation.Set.Count) * int64(run.Evaluation.Repetitions)
	trajectories, grown, judged, round := held, int64(0), held, held
	for generation := 1; generation <= generations(run); generation++ {
		grow := int64(run.Questions.Count) * int64(run.Grow.SamplesIn(generation))
		evaluated := held * int64(len(run.Targets))
		trajectories, grown, judged = trajectories+grow+evaluated, grown+grow, judged+evaluated
		round = max(round, grow+evaluated) // the journal is dropped when a generation is decided
	}
	wide := int64(max(run.Policy.Candidates, 1))
	for _, t := range run.Targets {
		wide = max(wide, int64(t.Candidates))
	}
	return []Need{
		{bus.Trajectories, trajectories, each(streams, bus.Trajectories, perTrajectory*wide/measuredCandidates)},
		{bus.Steps, round * typicalSteps, each(streams, bus.Steps, perStep*wide/measuredCandidates)},
		{bus.Feedback, grown * int64(len(run.Rankers)), each(streams, bus.Feedback, perFeedback)},
		{bus.Verdicts, judged, each(streams, bus.Verdicts, perVerdict)},
	}
}

// generations that the run may go through: without a target it ends with its first mixture.
func generations(run config.Run) int {
	if len(run.Targets) == 0 {
		return min(run.Generations, 1)
	}
	return run.Generations
}

func each(streams []bus.StreamState, name string, otherwise int64) int64 {
	for _, s := range streams {
		if s.Name == name && s.Messages >= enough {
			return max(1, int64(s.Bytes/s.Messages))
		}
	}
	return otherwise
}

// Room is what is free on the bus.
type Room struct {
	Streams []bus.StreamState
	// Account and Disk are the bytes that the account and the server's disk have left; negative if nobody knows.
	Account, Disk int64
}

// Lack says what does not fit, a line each; empty if everything does.
func (r Room) Lack(needs []Need) string {
	var lines []string
	lack := func(what string, need, free int64, fix string) {
		lines = append(lines, fmt.Sprintf("%s needs about %s, %s are free; %s", what, Bytes(need), Bytes(max(free, 0)), fix))
	}
	for _, n := range needs {
		for _, s := range r.Streams {
			free := s.MaxBytes - int64(s.Bytes)
			if s.Name == n.Stream && s.MaxBytes > 0 && n.Bytes() > free {
				lack(fmt.Sprintf("stream %s (%d messages of about %s)", n.Stream, n.Messages, Bytes(n.Each)), n.Bytes(), free,
					fmt.Sprintf("raise bus.max_bytes to %d", int64(s.Bytes)+n.Bytes()))
			}
		}
	}
	total := Total(needs)
	if r.Account >= 0 && total > r.Account {
		lack("the JetStream account", total, r.Account, "raise its limit")
	}
	if r.Disk >= 0 && total > r.Disk {
		lack("the disk of the nats-server", total, r.Disk, "make room on it")
	}
	return strings.Join(lines, "\n")
}

// Bytes prints a number of bytes for people.
func Bytes(n int64) string {
	const unit = 1 << 10
	value, suffix := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < unit {
			break
		}
		value, suffix = value/unit, next
	}
	if suffix == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, suffix)
}
