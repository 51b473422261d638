package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type lineageCommand struct {
	Of     string `arg:"" name:"model" help:"A checkpoint's id, a policy's name, RUN/GENERATION[/TARGET], or an example: IDENTITY#STEP."`
	Ranker string `help:"Whose choice an example's target is. Defaults to that of the run's strategy."`
}

func (lineageCommand) Help() string {
	return `A model back to what it was made of: decision, report, checkpoint, mixture and its counts, the policy that grew
it. An example back to its question: trajectory, step, candidates, and the ranker's reason.

    ratchet lineage demo-7f3a/1
    ratchet lineage 9a02c1d4
    ratchet lineage demo-7f3a.1.own.grow.pool-7.0#3`
}

func (c *lineageCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if strings.Contains(c.Of, "#") {
		return c.example(ctx, in, s)
	}
	l, err := history.FindLineage(ctx, s.bus, c.Of)
	if history.IsNotFound(err) {
		return notFound("`ratchet report RUN` lists a run's models", "%s", err)
	}
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s/%d/%s", l.Run, l.Generation, l.Target)
	return in.print(lineageJSON(l), []string{name}, func(p view.Paint) string { return view.Lineage(l, p) })
}

func (c *lineageCommand) example(ctx context.Context, in *invocation, s *session) error {
	tokens, _, _ := strings.Cut(c.Of, "#")
	id, err := bus.ParseID(tokens)
	if err != nil {
		return usage(err, "an example is IDENTITY#STEP, as in the lines of a mixture")
	}
	ranker := c.Ranker
	if ranker == "" {
		spec, err := s.spec(ctx, id.GetRun())
		if err != nil {
			return err
		}
		ranker = spec.Strategy.Ranker
	}
	e, err := history.FindExample(ctx, s.bus, c.Of, ranker)
	if err != nil {
		return err
	}
	return in.print(exampleJSON(e), []string{c.Of}, func(p view.Paint) string { return view.Example(e, width(in.out), p) })
}

// orNull is a message as JSON, null if there is none.
func orNull[T any, M interface {
	*T
	proto.Message
}](m M) json.RawMessage {
	if m == nil {
		return json.RawMessage("null")
	}
	return history.JSON(m)[0]
}

func lineageJSON(l history.Lineage) any {
	return map[string]any{
		"run": l.Run, "generation": l.Generation, "target": l.Target, "promoted": l.Promoted, "deployment": orNull(l.Deployment),
		"decision": orNull(l.Decision), "report": orNull(l.Report), "checkpoint": orNull(l.Checkpoint), "mixture": orNull(l.Mixture),
		"grown_by": orNull(l.Grower), "capabilities": orNull(l.Capabilities),
	}
}

func exampleJSON(e history.ExampleLineage) any {
	return map[string]any{
		"identity": orNull(e.Story.Trajectory.GetIdentity()), "question": e.Story.Trajectory.GetQuestion(),
		"policy": orNull(e.Story.Trajectory.GetPolicy()), "step": orNull(e.Step), "ranker": e.Ranker, "ranking": orNull(e.Ranking),
		"target": e.Target,
	}
}
