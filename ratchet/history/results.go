package history

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Results is what a run has produced so far, generation by generation.
type Results struct {
	Run         string       `json:"run"`
	Generations []Generation `json:"generations"`
}

// Generation is the results of one round.
type Generation struct {
	Number      int
	Mixture     *pb.Mixture
	Jobs        []*pb.Job // the last word of each
	Checkpoints []*pb.Checkpoint
	Deployments []*pb.Deployment
	// Reports and Decisions are in the order of their looks.
	Reports   []*pb.Report
	Decisions []*pb.Decision
}

// ReadResults reads a run's TRAINING and EVALS.
func ReadResults(ctx context.Context, conn *bus.Conn, run string) (Results, error) {
	r := Results{Run: run}
	for _, stream := range []string{bus.Training, bus.Evals} {
		for m, err := range conn.Read(ctx, stream, bus.RunFilter(stream, run)) {
			if err != nil {
				return r, fmt.Errorf("read results of %s: %w", run, err)
			}
			ev, err := m.Event(ctx)
			if errors.Is(err, bus.ErrRejected) {
				continue
			}
			if err != nil {
				return r, fmt.Errorf("read results of %s: %s: %w", run, m.Subject, err)
			}
			r.add(ev)
		}
	}
	r.sort()
	return r, nil
}

// At is a generation's results, empty if there are none.
func (r *Results) At(number int) Generation {
	for _, g := range r.Generations {
		if g.Number == number {
			return g
		}
	}
	return Generation{Number: number}
}

func (r *Results) at(number int) *Generation {
	for i := range r.Generations {
		if r.Generations[i].Number == number {
			return &r.Generations[i]
		}
	}
	r.Generations = append(r.Generations, Generation{Number: number})
	return &r.Generations[len(r.Generations)-1]
}

// add takes one event. Of a result that is there twice the first stands; of a job's progress the last counts.
func (r *Results) add(ev *pb.Event) {
	g := r.at(int(ev.GetGeneration()))
	switch body := ev.GetBody().(type) {
	case *pb.Event_Mixture:
		if g.Mixture == nil {
			g.Mixture = body.Mixture
		}
	case *pb.Event_Job:
		g.Jobs = latest(g.Jobs, body.Job, func(a, b *pb.Job) bool { return a.GetTarget() == b.GetTarget() })
	case *pb.Event_Checkpoint:
		g.Checkpoints = earliest(g.Checkpoints, body.Checkpoint, func(a, b *pb.Checkpoint) bool { return a.GetTarget() == b.GetTarget() })
	case *pb.Event_Deployment:
		g.Deployments = earliest(g.Deployments, body.Deployment, func(a, b *pb.Deployment) bool { return a.GetTarget() == b.GetTarget() })
	case *pb.Event_Report:
		g.Reports = earliest(g.Reports, body.Report, func(a, b *pb.Report) bool {
			return a.GetTarget() == b.GetTarget() && a.GetLook() == b.GetLook()
		})
	case *pb.Event_Decision:
		g.Decisions = earliest(g.Decisions, body.Decision, func(a, b *pb.Decision) bool {
			return a.GetTarget() == b.GetTarget() && a.GetLook() == b.GetLook()
		})
	}
}

func earliest[T any](all []T, one T, same func(a, b T) bool) []T {
	for i := range all {
		if same(all[i], one) {
			return all
		}
	}
	return append(all, one)
}

func latest[T any](all []T, one T, same func(a, b T) bool) []T {
	for i := range all {
		if same(all[i], one) {
			all[i] = one
			return all
		}
	}
	return append(all, one)
}

func (r *Results) sort() {
	slices.SortFunc(r.Generations, func(a, b Generation) int { return cmp.Compare(a.Number, b.Number) })
	for _, g := range r.Generations {
		slices.SortFunc(g.Checkpoints, func(a, b *pb.Checkpoint) int { return compareTargets(a.GetTarget(), b.GetTarget()) })
		slices.SortFunc(g.Deployments, func(a, b *pb.Deployment) int { return compareTargets(a.GetTarget(), b.GetTarget()) })
		slices.SortFunc(g.Jobs, func(a, b *pb.Job) int { return compareTargets(a.GetTarget(), b.GetTarget()) })
		slices.SortFunc(g.Reports, func(a, b *pb.Report) int {
			return cmp.Or(compareTargets(a.GetTarget(), b.GetTarget()), cmp.Compare(a.GetLook(), b.GetLook()))
		})
		slices.SortFunc(g.Decisions, func(a, b *pb.Decision) int { return cmp.Compare(a.GetLook(), b.GetLook()) })
	}
}

// Report is the last look's report of a target, nil if there is none.
func (g Generation) Report(target string) *pb.Report {
	var last *pb.Report
	for _, r := range g.Reports {
		if r.GetTarget() == target {
			last = r
		}
	}
	return last
}

// Decision is the last look's, nil if there is none.
func (g Generation) Decision() *pb.Decision {
	if len(g.Decisions) == 0 {
		return nil
	}
	return g.Decisions[len(g.Decisions)-1]
}

// Targets lists the targets that have a report, own first.
func (r Results) Targets() []string {
	var all []string
	for _, g := range r.Generations {
		for _, report := range g.Reports {
			if !slices.Contains(all, report.GetTarget()) {
				all = append(all, report.GetTarget())
			}
		}
	}
	slices.SortFunc(all, compareTargets)
	return all
}

// MarshalJSON prints the bodies as protobuf JSON, as on the bus.
func (g Generation) MarshalJSON() ([]byte, error) {
	type raw = []json.RawMessage
	out := struct {
		Generation  int             `json:"generation"`
		Mixture     json.RawMessage `json:"mixture,omitempty"`
		Jobs        raw             `json:"jobs"`
		Checkpoints raw             `json:"checkpoints"`
		Deployments raw             `json:"deployments"`
		Reports     raw             `json:"reports"`
		Decisions   raw             `json:"decisions"`
	}{
		Generation: g.Number, Jobs: JSON(g.Jobs...), Checkpoints: JSON(g.Checkpoints...), Deployments: JSON(g.Deployments...),
		Reports: JSON(g.Reports...), Decisions: JSON(g.Decisions...),
	}
	if g.Mixture != nil {
		out.Mixture = JSON(g.Mixture)[0]
	}
	return json.Marshal(out)
}

var protoJSON = protojson.MarshalOptions{UseProtoNames: true}

// JSON is messages as protobuf JSON with the names of the schema.
func JSON[M proto.Message](all ...M) []json.RawMessage {
	out := make([]json.RawMessage, 0, len(all))
	for _, m := range all {
		text, err := protoJSON.Marshal(m)
		if err != nil { // invalid UTF-8, which decoding refuses
			text = []byte("null")
		}
		out = append(out, text)
	}
	return out
}
