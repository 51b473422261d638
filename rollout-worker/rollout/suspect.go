package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// letGoTimeout bounds the line in the journal with which a worker that stops lets go of a suspect.
const letGoTimeout = 5 * time.Second

// needs is how many slots a trajectory takes: all of them for a suspect over which a worker has died, so that it takes no
// other with it, and the next death is its own.
func (g *game) needs(ctx context.Context) (int64, error) {
	if !g.shard.GetSuspect() {
		return 1, nil
	}
	journal, _, err := g.bus.OpenJournal(ctx, g.id)
	if err != nil {
		return 0, err
	}
	if len(journal.Deaths()) == 0 {
		return 1, nil
	}
	return g.most, nil
}

// attempt begins a suspect, unless too many workers have died over it: then it is given up before it kills this one.
func (g *game) attempt(ctx context.Context, journal *bus.Journal, state *agent.State) error {
	deaths := journal.Deaths()
	if len(deaths) < deathsOfOne {
		return journal.Begin(ctx)
	}
	where := "after its last step"
	if kind, going := state.Next(); going {
		where = "in its step " + agent.KindName(kind)
	}
	return worker.Permanent(worker.WithClass(pb.FailureClass_FAILURE_CLASS_WORKER_KILLED, fmt.Errorf(
		"%d workers in a row died %s: %s", len(deaths), where, strings.Join(deaths, ", "))))
}

// letGo ends an attempt alive. What ends without it has killed the worker.
func (g *game) letGo(ctx context.Context, journal *bus.Journal) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoTimeout)
	defer cancel()
	if err := journal.LetGo(ctx); err != nil && !errors.Is(err, bus.ErrFenced) {
		g.log.Warn("could not let go of a suspect; it will look as if this worker had died", "id", bus.IDTokens(g.id), "error", err)
	}
}
