package plan

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// probeTimeout bounds what one endpoint is asked. A server that is busy with the run's own calls takes its time, and
// nothing waits for it.
const probeTimeout = 10 * time.Minute

// logProbed is the line of a run's log that holds what an endpoint can.
const logProbed = "probed"

// prober asks a model's endpoint what it can.
type prober interface {
	Probe(ctx context.Context, r llm.Request) (*pb.Capabilities, error)
}

// probes asks each endpoint and model of a run once, beside the run's work: nothing waits for the answers, which are for
// people. What the run's log has already is not asked again.
type probes struct {
	prober prober // nil: nobody is asked
	asking sync.WaitGroup

	mu   sync.Mutex // guards seen
	seen map[string]bool
}

// probe begins to ask all endpoints of a policy that nobody has asked yet.
func (c *conductor) probe(ctx context.Context, p *pb.Policy) {
	if c.probes.prober == nil {
		return
	}
	for _, endpoint := range llm.Endpoints(p) {
		r := llm.Request{Endpoint: endpoint, Model: p.GetModel(), API: p.GetApi()}
		if generation := c.record.Generation; c.probes.take(r) {
			c.probes.asking.Go(func() { c.ask(ctx, generation, r) })
		}
	}
}

func (s *probes) take(r llm.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	key := probed(r.Endpoint, r.Model, r.API)
	defer func() { s.seen[key] = true }()
	return !s.seen[key]
}

func (s *probes) free(r llm.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, probed(r.Endpoint, r.Model, r.API))
}

// probed names what was asked, as a token.
func probed(endpoint, model string, api pb.Api) string {
	return config.Token(fmt.Sprintf("%s %s %d", endpoint, model, api))
}

// ask puts what an endpoint can into the run's log. One that does not answer is asked again with the next trajectories.
func (c *conductor) ask(ctx context.Context, generation int, r llm.Request) {
	err := func() error {
		if known, err := c.isProbed(ctx, r); known || err != nil {
			return err
		}
		asking, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		found, err := c.probes.prober.Probe(asking, r)
		if err != nil {
			return err
		}
		line := &pb.RunLog{What: logProbed, By: "coordinator", Revision: c.fence, Capabilities: found}
		return logLine(ctx, c.bus, c.spec.Name, generation, probed(r.Endpoint, r.Model, r.API), line)
	}()
	if err != nil && ctx.Err() == nil {
		c.log.Warn("it is not known what an endpoint can; nothing depends on it", "endpoint", r.Endpoint, "model", r.Model, "error", err)
		c.probes.free(r)
	}
}

// isProbed looks into the run's log.
func (c *conductor) isProbed(ctx context.Context, r llm.Request) (bool, error) {
	for m, err := range c.bus.Read(ctx, bus.Runs, bus.RunSubject(c.spec.Name, logProbed)) {
		if err != nil {
			return false, err
		}
		ev, err := m.Event(ctx)
		if errors.Is(err, bus.ErrRejected) {
			continue
		}
		if err != nil {
			return false, err
		}
		f := ev.GetRunLog().GetCapabilities()
		if probed(f.GetEndpoint(), f.GetModel(), f.GetApi()) == probed(r.Endpoint, r.Model, r.API) {
			return true, nil
		}
	}
	return false, nil
}
