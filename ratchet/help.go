package main

import (
	"fmt"
	"maps"
	"os"
	"os/user"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type helpCommand struct {
	Topic string `arg:"" optional:"" help:"exit-codes, environment or subjects."`
}

// topics are what `ratchet help` explains beside the commands.
var topics = map[string]func() string{"exit-codes": exitCodes, "environment": environment, "subjects": subjects}

func (c *helpCommand) Run(in *invocation) error {
	known := slices.Sorted(maps.Keys(topics))
	if c.Topic == "" {
		fmt.Fprintf(in.out, "topics: %s\n`ratchet --help` lists the commands, `ratchet COMMAND --help` explains one.\n", strings.Join(known, ", "))
		return nil
	}
	text, ok := topics[c.Topic]
	if !ok {
		return notFound("use one of: "+strings.Join(known, ", "), "no topic %q", c.Topic)
	}
	_, err := fmt.Fprint(in.out, text())
	return err
}

func exitCodes() string {
	t := view.Table{Head: []string{"code", "meaning"}}
	for _, row := range []struct {
		code    int
		meaning string
	}{
		{exitOK, "done"},
		{exitFailed, "failed; `ledger`: it does not add up"},
		{exitUsage, "wrong flags, configuration, run file or data"},
		{exitNotFound, "no such run, question, model or file"},
		{exitRefused, "understood, but may not be done"},
		{exitUnreachable, "no bus, blob store or coordinator answers"},
		{exitRejected, "with --exit-status: the last generation was rejected"},
		{exitUndecided, "with --exit-status: the last generation is undecided"},
		{exitInterrupted, "interrupted; what was begun can be resumed"},
	} {
		t.Add(fmt.Sprint(row.code), row.meaning)
	}
	return t.String()
}

func environment() string {
	t := view.Table{Head: []string{"variable", "meaning"}}
	t.Add("RATCHET_CONFIG", "configuration file, as --config")
	t.Add("RATCHET_PROGRESS", "auto, plain, json or quiet, as --progress")
	t.Add("NO_COLOR", "no colour, as --color never")
	t.Add("AWS_ACCESS_KEY_ID", "key of the blob store, with AWS_SECRET_ACCESS_KEY, where no file is named")
	for _, s := range config.Default().Settings(nil) {
		t.Add(config.Variable(s.Key), s.Key)
	}
	return t.String() + "lists are comma separated, maps are name=value,name=value\n"
}

func subjects() string {
	id := &pb.Identity{Run: "RUN", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "QUESTION", Sample: 0}
	t := view.Table{Head: []string{"stream", "subject", "what"}}
	t.Add(bus.Tasks, bus.TaskSubject("KIND", "RUN", 1, "ID"), "work; the queue's depth is the work left")
	t.Add(bus.Steps, bus.StepSubject(id), "finished steps of running trajectories")
	t.Add(bus.Trajectories, bus.TrajectorySubject(id), "finished trajectories")
	t.Add(bus.Feedback, bus.FeedbackSubject("RANKER", id), "rankings of the candidates of every step")
	t.Add(bus.Verdicts, bus.VerdictSubject("JUDGE", id), "True or False on draft and final answer")
	t.Add(bus.Training, bus.TrainingSubject("RUN", 1, "own", "WHAT"), "mixture, job, checkpoint, deployment")
	t.Add(bus.Evals, bus.EvalSubject("RUN", 1, "own", "WHAT"), "report-LOOK, decision-LOOK")
	t.Add(bus.Results, bus.ResultSubject("KIND", "RUN", 1, "ID"), "results of plug-in tasks")
	t.Add(bus.Runs, bus.RunSubject("RUN", "WHAT"), "the run's log: entered, left, paused, resumed, finished")
	t.Add(bus.Dead, bus.DeadSubject("KIND", "RUN"), "dead letters")
	return t.String() + "read one with: nats stream view STREAM --translate 'ratchet decode'\n"
}

type versionCommand struct{}

// version is set by the linker for a release.
var version = "0.1.0"

func (versionCommand) Run(in *invocation) error {
	built := map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" || s.Key == "vcs.modified" {
				built[s.Key] = s.Value
			}
		}
	}
	return in.print(built, []string{version}, func(view.Paint) string {
		return fmt.Sprintf("ratchet %s  %s  %s  %s\n", version, built["vcs.revision"], built["go"], built["platform"])
	})
}

// operator is who gives the command: user@host, for the run's log.
func operator() string {
	name := "operator"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}
