package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"github.com/posener/complete"
	"github.com/willabides/kongplete"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCommand) Help() string {
	return `    source <(ratchet completion bash)
    ratchet completion zsh >> ~/.zshrc
    ratchet completion fish > ~/.config/fish/completions/ratchet.fish`
}

func (c *completionCommand) Run(in *invocation) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	text := map[string]string{
		"bash": "complete -C %[1]q ratchet\n",
		"zsh":  "autoload -U +X bashcompinit && bashcompinit\ncomplete -o nospace -C %[1]q ratchet\n",
		"fish": "function __complete_ratchet\n    set -lx COMP_LINE (commandline -cp)\n    test -z (commandline -ct); and set COMP_LINE \"$COMP_LINE \"\n    %[1]q\nend\ncomplete -f -c ratchet -a \"(__complete_ratchet)\"\n",
	}[c.Shell]
	_, err = fmt.Fprintf(in.out, text, program)
	return err
}

// completionTime bounds the look-up of runs: a slower answer would be worse than none.
const completionTime = 300 * time.Millisecond

// completes answers the shell, if it is the shell that asks: it says so in COMP_LINE.
func completes(ctx context.Context, parser *kong.Kong) bool {
	if os.Getenv("COMP_LINE") == "" {
		return false
	}
	runs := complete.PredictFunc(func(complete.Args) []string { return runNames(ctx) })
	command, err := kongplete.Command(parser, kongplete.WithPredictor("run", runs), kongplete.WithPredictor("file", complete.PredictFiles("*")))
	if err != nil {
		return true
	}
	completion := complete.New("ratchet", command)
	completion.Out = parser.Stdout
	return completion.Complete()
}

// runNames lists the runs, or nothing where that takes too long.
func runNames(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	s, err := (&invocation{globals: globals{Wait: completionTime}}).connect(ctx)
	if err != nil {
		return nil
	}
	defer s.close()
	names, err := s.names(ctx)
	if err != nil {
		return nil
	}
	return names
}
