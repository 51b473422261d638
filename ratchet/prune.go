package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/retention"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type pruneCommand struct {
	Runs      []string      `arg:"" optional:"" name:"run" predictor:"run" help:"Finished runs to remove."`
	OlderThan time.Duration `placeholder:"D" help:"Remove every run that was finished longer ago than this, such as 720h."`
	Blobs     bool          `help:"Collect the blobs that nothing points at any more."`
	Grace     time.Duration `default:"24h" help:"With --blobs: leave younger ones alone."`
	DryRun    bool          `help:"Only say what would go."`
}

func (pruneCommand) Help() string {
	return `Cannot be undone: export first what may be wanted again. A run goes with its messages, records, mixtures and checkpoints,
the promoted ones included; a checkpoint that another run names stays. A run that goes on is refused: cancel it. Killed
on the way, the same command goes on. The name stays taken, for another run.

    ratchet prune --older-than 720h --dry-run
    ratchet prune demo-7f3a --yes
    ratchet prune --blobs --grace 48h`
}

// pruned is what the command prints as JSON.
type pruned struct {
	Runs  []retention.Plan     `json:"runs"`
	Blobs *retention.Collected `json:"blobs,omitempty"`
}

func (c *pruneCommand) Run(ctx context.Context, in *invocation) error {
	if len(c.Runs) == 0 && c.OlderThan == 0 && !c.Blobs {
		return usage(errors.New("nothing selected to remove"), "name runs, or --older-than, or --blobs")
	}
	if c.Grace < retention.LeastGrace {
		return usage(fmt.Errorf("--grace %s is too short", c.Grace), fmt.Sprintf("give writers %s at least", retention.LeastGrace))
	}
	s, err := in.connectAs(ctx, bus.RoleKeeper)
	if err != nil {
		return err
	}
	defer s.close()
	installation, err := s.installation()
	if err != nil {
		return err
	}
	pruner := retention.Pruner{Installation: installation}
	out, err := c.runs(ctx, in, s, pruner)
	if err != nil {
		return err
	}
	if c.Blobs {
		collected, err := pruner.Collect(ctx, c.Grace, c.DryRun)
		if err != nil {
			return err
		}
		out.Blobs = &collected
	}
	return in.print(out, names(out.Runs), func(p view.Paint) string { return prunedText(out) })
}

// runs removes the runs that were selected, or looks at them.
func (c *pruneCommand) runs(ctx context.Context, in *invocation, s *session, pruner retention.Pruner) (pruned, error) {
	out := pruned{Runs: []retention.Plan{}}
	selected, err := c.selected(ctx, s)
	if err != nil {
		return out, err
	}
	for _, run := range selected {
		plan, err := pruner.Look(ctx, run)
		if errors.Is(err, retention.ErrUnfinished) {
			return out, refused("wait for its end, or `ratchet cancel "+run+"`", "run %s is not finished", run)
		}
		if errors.Is(err, bus.ErrNotFound) {
			return out, s.unknownRun(ctx, run)
		}
		if err != nil {
			return out, err
		}
		out.Runs = append(out.Runs, plan)
	}
	if c.DryRun || len(out.Runs) == 0 {
		return out, nil
	}
	if err := in.confirm("remove for good: " + strings.Join(names(out.Runs), ", ")); err != nil {
		return out, err
	}
	for _, plan := range out.Runs {
		if err := pruner.Prune(ctx, plan, operator()); err != nil {
			return out, err
		}
		in.note("removed %s", plan.Run)
	}
	return out, nil
}

// selected are the runs that were named, and those that were finished long enough ago.
func (c *pruneCommand) selected(ctx context.Context, s *session) ([]string, error) {
	selected := slices.Clone(c.Runs)
	if c.OlderThan > 0 {
		all, err := s.names(ctx)
		if err != nil {
			return nil, err
		}
		for _, run := range all {
			state, err := s.state(ctx, run)
			if err != nil {
				return nil, err
			}
			if state.Finished && time.Since(state.Updated) > c.OlderThan {
				selected = append(selected, run)
			}
		}
	}
	slices.Sort(selected)
	return slices.Compact(selected), nil
}

func names(plans []retention.Plan) []string {
	all := make([]string, len(plans))
	for i, plan := range plans {
		all[i] = plan.Run
	}
	return all
}

func prunedText(out pruned) string {
	var b strings.Builder
	if len(out.Runs) > 0 {
		t := view.Table{Head: []string{"run", "messages", "bytes", "blobs", "bytes", "promoted", "kept for others"}}
		for _, p := range out.Runs {
			promoted := "-"
			if p.Promoted >= 0 {
				promoted = fmt.Sprint("generation ", p.Promoted)
			}
			t.Add(p.Run, fmt.Sprint(p.Total()), view.Bytes(p.Bytes), fmt.Sprint(p.Blobs), view.Bytes(p.BlobBytes), promoted, strings.Join(p.Kept, " "))
		}
		b.WriteString(t.String())
	}
	if c := out.Blobs; c != nil {
		fmt.Fprintf(&b, "%d blobs that nothing points at, %s\n", c.Blobs, view.Bytes(c.Bytes))
		for _, run := range c.Waiting {
			fmt.Fprintf(&b, "large events were left alone: the import of %s is not finished; import it again, or `ratchet prune %[1]s`\n", run)
		}
	}
	if b.Len() == 0 {
		return "nothing to remove\n"
	}
	return b.String()
}
