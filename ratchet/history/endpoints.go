package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// ReadCapabilities is what the endpoints of a run's models were found to do, of each the first answer.
func ReadCapabilities(ctx context.Context, conn *bus.Conn, run string) ([]*pb.Capabilities, error) {
	var found []*pb.Capabilities
	for m, err := range conn.Read(ctx, bus.Runs, bus.RunSubject(run, "probed")) {
		if err != nil {
			return nil, fmt.Errorf("read what the endpoints of %s can: %w", run, err)
		}
		ev, err := m.Event(ctx)
		if errors.Is(err, bus.ErrRejected) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read what the endpoints of %s can: %s: %w", run, m.Subject, err)
		}
		if f := ev.GetRunLog().GetCapabilities(); f != nil {
			found = earliest(found, f, func(a, b *pb.Capabilities) bool {
				return a.GetEndpoint() == b.GetEndpoint() && a.GetModel() == b.GetModel() && a.GetApi() == b.GetApi()
			})
		}
	}
	return found, nil
}

// capabilitiesOf are those of a policy's model and endpoint, nil where nobody has asked.
func capabilitiesOf(found []*pb.Capabilities, p *pb.Policy) *pb.Capabilities {
	for _, f := range found {
		if f.GetEndpoint() == p.GetEndpoint() && f.GetModel() == p.GetModel() && f.GetApi() == p.GetApi() {
			return f
		}
	}
	return nil
}
