package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

type kindCommand struct {
	Add kindAddCommand `cmd:"" help:"Make the queue of a plug-in's worker kind."`
}

type kindAddCommand struct {
	Name string `arg:"" help:"The kind, of a-z, 0-9 and dashes."`
}

func (kindAddCommand) Help() string {
	return `Workers of the kind wait until its queue is there. bus.kinds in the coordinator's configuration does the same.

    ratchet kind add summarize`
}

func (c *kindAddCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var made struct {
		Name string `json:"name"`
	}
	if err := s.ask(ctx, "kind", map[string]string{"name": c.Name}, &made); err != nil {
		return err
	}
	in.note("tasks of kind %s wait at %s", made.Name, bus.TaskSubject(made.Name, "RUN", 0, "ID"))
	return nil
}

type taskCommand struct {
	Kind       string `arg:"" help:"The worker kind."`
	Name       string `name:"run" required:"" predictor:"run" help:"The run that the task is for."`
	Args       string `default:"{}" help:"Whatever the kind understands, a JSON object."`
	ID         string `help:"The task's identity; a task of the same identity is done once. Defaults to a hash of the arguments."`
	Generation int    `help:"The generation that the task is for."`
}

func (taskCommand) Help() string {
	return `    ratchet task summarize --run demo-7f3a --args '{"question": "pool-7"}'
    ratchet task summarize --run demo-7f3a --id all`
}

func (c *taskCommand) Run(ctx context.Context, in *invocation) error {
	args := &structpb.Struct{}
	if err := args.UnmarshalJSON([]byte(c.Args)); err != nil {
		return usage(fmt.Errorf("--args is no JSON object: %w", err), `quote it for the shell: --args '{"key": "value"}'`)
	}
	id := c.ID
	if id == "" {
		canonical, err := json.Marshal(args.AsMap())
		if err != nil {
			return fmt.Errorf("encode --args: %w", err)
		}
		sum := sha256.Sum256(canonical)
		id = hex.EncodeToString(sum[:8])
	}
	for what, token := range map[string]string{"kind": c.Kind, "--run": c.Name, "--id": id} {
		if !config.IsToken(token) {
			return usage(fmt.Errorf("%s %q is no name", what, token), "use a-z, 0-9 and dashes, such as "+config.Token(token))
		}
	}
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	task := &pb.Task{Id: id, Kind: c.Kind, Work: &pb.Task_Args{Args: args}}
	if err := s.bus.PublishTask(ctx, c.Name, c.Generation, task); err != nil {
		return fmt.Errorf("give the task: %w", err)
	}
	_, err = fmt.Fprintln(in.out, bus.TaskSubject(c.Kind, c.Name, c.Generation, id))
	return err
}
