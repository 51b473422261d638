package plan

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// heed does what the operator wants, keeps to the budgets, and stops for a task that a phase cannot do without.
// It returns errAgain after a pause that was resumed.
func (c *conductor) heed(ctx context.Context) error {
	if err := c.readControl(ctx); err != nil {
		return err
	}
	if c.control.Want == runstate.WantCancel {
		return c.cancel(ctx)
	}
	reason := c.reasonToPause()
	if reason == "" && !c.record.Paused {
		return nil
	}
	if !c.record.Paused {
		if err := c.pause(ctx, reason); err != nil {
			return err
		}
	}
	return c.awaitResume(ctx)
}

func (c *conductor) reasonToPause() string {
	if c.control.Want == runstate.WantPause && c.control.Serial > c.record.ControlSeen {
		return cmp.Or(c.control.Reason, "asked for")
	}
	if reason := c.overBudget(); reason != "" {
		return reason
	}
	if f, ok := c.seen.fatalAfter(c.record.DeadSeen, taskOf[c.record.Phase], c.record.Generation); ok {
		return fmt.Sprintf("%s of generation %d failed: %s; mend the cause, then `ratchet resume %s`", f.kind, f.generation, f.reason, c.spec.Name)
	}
	return ""
}

// overBudget says which budget is spent; a resume may have raised it.
func (c *conductor) overBudget() string {
	spent, budgets := c.seen.spent(), c.spec.Budgets
	resume := "raise it with `ratchet resume " + c.spec.Name
	if limit := max(budgets.Calls, c.control.Calls); limit > 0 && spent.Calls >= limit {
		return fmt.Sprintf("budget of %d calls is spent (%d); %s --calls N`", limit, spent.Calls, resume)
	}
	if limit := max(budgets.Tokens, c.control.Tokens); limit > 0 && spent.Tokens() >= limit {
		return fmt.Sprintf("budget of %d tokens is spent (%d); %s --tokens N`", limit, spent.Tokens(), resume)
	}
	cost := float64(spent.CostNano) / config.NanoPerUnit
	if limit := max(budgets.Cost, c.control.Cost); limit > 0 && cost >= limit {
		return fmt.Sprintf("budget of %.2f is spent (%.2f at the run's prices); %s --cost N`", limit, cost, resume)
	}
	wall := time.Since(c.record.Started)
	if limit := max(time.Duration(budgets.Wall), c.control.Wall); limit > 0 && wall >= limit {
		return fmt.Sprintf("wall time of %s is spent; %s --wall D`", limit, resume)
	}
	return ""
}

// readControl reads the operator's wish at most once a poll interval, or when poked.
func (c *conductor) readControl(ctx context.Context) error {
	if time.Since(c.heeded) < c.settings.Poll {
		return nil
	}
	control, _, err := readControl(ctx, c.bus.KV(runstate.Bucket), c.spec.Name)
	if err != nil {
		return err
	}
	c.control, c.heeded = control, time.Now()
	return nil
}

// pause withdraws the waiting tasks first: if we die before the record says so, they are published again.
func (c *conductor) pause(ctx context.Context, reason string) error {
	if err := c.withdraw(ctx); err != nil {
		return err
	}
	r := c.record
	line := &pb.RunLog{What: "paused", Phase: phaseNumber[r.Phase], Reason: reason}
	if err := c.tell(ctx, line, fmt.Sprintf("%s.%d.%d", r.Phase, r.Look, c.control.Serial)); err != nil {
		return err
	}
	r.Paused, r.Reason, r.ControlSeen, r.Cursor, r.Usage = true, reason, c.control.Serial, nil, c.seen.spent()
	c.forgive()
	c.log.Info("paused", "reason", reason)
	return r.save(ctx)
}

// awaitResume waits for a newer wish than the pause.
func (c *conductor) awaitResume(ctx context.Context) error {
	for c.control.Want != runstate.WantRun || c.control.Serial <= c.record.ControlSeen {
		if c.control.Want == runstate.WantCancel {
			return c.cancel(ctx)
		}
		if err := c.saveProgress(ctx); err != nil {
			return err
		}
		if err := c.rest(ctx); err != nil {
			return err
		}
		if err := c.readControl(ctx); err != nil {
			return err
		}
	}
	r := c.record
	line := &pb.RunLog{What: "resumed", Phase: phaseNumber[r.Phase], Reason: c.control.Reason}
	if err := c.tell(ctx, line, fmt.Sprint(c.control.Serial)); err != nil {
		return err
	}
	r.Paused, r.Reason, r.ControlSeen = false, "", c.control.Serial
	c.forgive()
	c.log.Info("resumed")
	if err := r.save(ctx); err != nil {
		return err
	}
	return errAgain
}

// forgive marks the dead letters up to now as told to the operator. The pause does it, because a coordinator that
// began after it may not have seen them yet when the resume comes; the resume does it for those that came meanwhile.
func (c *conductor) forgive() { c.record.DeadSeen = max(c.record.DeadSeen, c.seen.lastFatal()) }

func (c *conductor) cancel(ctx context.Context) error {
	if err := c.finish(ctx, "cancelled: "+cmp.Or(c.control.Reason, "asked for")); err != nil {
		return err
	}
	return errAgain // the loop sees that the run is finished
}

// withdraw takes the run's waiting tasks off the queue. A worker that holds one finishes it; its result counts.
func (c *conductor) withdraw(ctx context.Context) error {
	if err := c.bus.Purge(ctx, bus.Tasks, bus.RunFilter(bus.Tasks, c.spec.Name)); err != nil {
		return fmt.Errorf("withdraw tasks: %w", err)
	}
	return nil
}
