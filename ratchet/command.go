package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/ratchet-rl/ratchet/ratchet/view"
)

// commands is the command line: each field a command, in the file of its name.
type commands struct {
	globals

	Up     upCommand     `cmd:"" group:"run" help:"Run everything in this process: bus, blob store, embedded policy and all roles."`
	Demo   demoCommand   `cmd:"" group:"run" help:"Improve the embedded policy over two generations, and show by how much."`
	Init   initCommand   `cmd:"" group:"run" help:"Write an example run with its questions, and a configuration file."`
	Submit submitCommand `cmd:"" group:"run" help:"Submit a run."`

	Status     statusCommand     `cmd:"" group:"see" help:"Say how runs are."`
	Ledger     ledgerCommand     `cmd:"" group:"see" help:"Count everything of a run from the streams, and check that it adds up."`
	Report     reportCommand     `cmd:"" group:"see" help:"Show what a run has achieved: accuracies, decisions, mixtures, cost."`
	Trajectory trajectoryCommand `cmd:"" group:"see" help:"Show every step of a trajectory, its candidates, their ranks and why."`
	Judge      judgeCommand      `cmd:"" group:"see" help:"Check the judge against people and metrics; rank by hand."`
	Lineage    lineageCommand    `cmd:"" group:"see" help:"Say where a model or a training example comes from."`

	Pause  pauseCommand  `cmd:"" group:"act" help:"Pause a run; work in flight finishes."`
	Resume resumeCommand `cmd:"" group:"act" help:"Resume a paused run, with a raised budget if need be."`
	Cancel cancelCommand `cmd:"" group:"act" help:"End a run for good; its results stay."`
	Dead   deadCommand   `cmd:"" group:"act" help:"List, show and replay dead letters."`
	Kind   kindCommand   `cmd:"" group:"act" help:"Manage the kinds of plug-in workers."`
	Task   taskCommand   `cmd:"" group:"act" help:"Give a plug-in worker a task."`

	Export  exportCommand  `cmd:"" group:"keep" help:"Write a run with everything that belongs to it into one file."`
	Import  importCommand  `cmd:"" group:"keep" help:"Bring a run here out of such a file."`
	Convert convertCommand `cmd:"" group:"keep" help:"Turn trajectories, rankings and mixtures into forms that other programs read, and some of those back."`
	Prune   pruneCommand   `cmd:"" group:"keep" help:"Remove finished runs, and blobs that nothing points at."`

	Doctor     doctorCommand     `cmd:"" group:"tool" help:"Check bus, disk, search and endpoints, and say what each lacks."`
	Search     searchCommand     `cmd:"" group:"tool" help:"Try a search tool: ask it one query, as the agent would."`
	Auth       authCommand       `cmd:"" group:"tool" help:"Make the roles' keys for a nats-server of your own."`
	Decode     decodeCommand     `cmd:"" group:"tool" help:"Print an event of the bus as JSON."`
	Config     configCommand     `cmd:"" group:"tool" help:"Show the configuration and where each setting comes from."`
	Pocket     pocketCommand     `cmd:"" group:"tool" help:"Serve, train and measure the embedded policy."`
	Completion completionCommand `cmd:"" group:"tool" help:"Print the shell's completion."`
	Help       helpCommand       `cmd:"" group:"tool" help:"Explain a topic: exit-codes, environment or subjects."`
	Version    versionCommand    `cmd:"" group:"tool" help:"Print the version."`
}

var groups = kong.ExplicitGroups([]kong.Group{
	{Key: "run", Title: "Start"}, {Key: "see", Title: "See"}, {Key: "act", Title: "Act"}, {Key: "keep", Title: "Keep"}, {Key: "tool", Title: "Tools"},
})

// streams are where a command reads and prints: results on out, progress and errors on err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func standardStreams() streams { return streams{in: os.Stdin, out: os.Stdout, err: os.Stderr} }

// run does what the arguments say and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	var c commands
	helped := false // kong exits once it has printed help; here it goes on, and this says so
	parser, err := kong.New(&c, kong.Name("ratchet"), kong.Writers(s.out, s.err), groups,
		kong.Description("Ratchet improves a search agent with its own trajectories, and never slips back."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: helpWidth}),
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		return complain(s.err, view.Paint{}, fmt.Errorf("build the command line: %w", err))
	}
	if completes(ctx, parser) {
		return exitOK
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if helped {
		return exitOK
	}
	if err != nil {
		return complain(s.err, c.paint(s.err), usage(err, "`ratchet --help` lists the commands, `ratchet COMMAND --help` its flags"))
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return complain(s.err, c.paint(s.err), parsed.Run(&invocation{globals: c.globals, streams: s, screen: view.NewScreen(s.err)}))
}

// helpWidth is where help wraps.
const helpWidth = 100
