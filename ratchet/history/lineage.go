package history

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Lineage is where a model comes from, newest first: each part is nil where there is none.
type Lineage struct {
	Run        string
	Generation int
	Target     string
	// Promoted: it is or was the run's incumbent.
	Promoted   bool
	Deployment *pb.Deployment
	Decision   *pb.Decision
	Report     *pb.Report
	Checkpoint *pb.Checkpoint
	Mixture    *pb.Mixture
	// Grower is the policy whose trajectories the mixture was made of.
	Grower *pb.Policy
	// Capabilities is what the policy's endpoint was found to do.
	Capabilities *pb.Capabilities
}

// FindLineage finds a model by the id of its checkpoint (or its first eight digits and more), by the name of its
// policy, or as <run>/<generation>[/<target>].
func FindLineage(ctx context.Context, conn *bus.Conn, model string) (Lineage, error) {
	place, err := findModel(ctx, conn, model)
	if err != nil {
		return Lineage{}, err
	}
	results, err := ReadResults(ctx, conn, place.Run)
	if err != nil {
		return Lineage{}, err
	}
	g := results.At(place.Generation)
	place.Mixture, place.Report = g.Mixture, g.Report(place.Target)
	for _, c := range g.Checkpoints {
		if c.GetTarget() == place.Target {
			place.Checkpoint = c
		}
	}
	for _, d := range g.Deployments {
		if d.GetTarget() == place.Target {
			place.Deployment = d
		}
	}
	if place.Target == "own" {
		place.Decision = g.Decision()
		ruling := place.Decision.GetRuling()
		place.Promoted = ruling == pb.Ruling_RULING_PROMOTE || ruling == pb.Ruling_RULING_BASELINE
	}
	if place.Report == nil && place.Checkpoint == nil && place.Mixture == nil {
		return Lineage{}, fmt.Errorf("generation %d, target %s of run %s: %w", place.Generation, place.Target, place.Run, bus.ErrNotFound)
	}
	found, err := ReadCapabilities(ctx, conn, place.Run)
	if err != nil {
		return place, err
	}
	served := place.Deployment.GetPolicy()
	if served == nil {
		served = place.Report.GetPolicy()
	}
	place.Capabilities = capabilitiesOf(found, served)
	place.Grower, err = grower(ctx, conn, place.Run, place.Generation)
	return place, err
}

// grower is the policy of a generation's first grown trajectory: all of them have the same.
func grower(ctx context.Context, conn *bus.Conn, run string, generation int) (*pb.Policy, error) {
	filter := "ratchet.v1.trajectory." + Query{Run: run, Generation: generation, Purpose: "grow", Sample: -1}.tokens()
	for m, err := range conn.Read(ctx, bus.Trajectories, filter) {
		if err != nil {
			return nil, fmt.Errorf("read who grew: %w", err)
		}
		ev, err := m.Event(ctx)
		if errors.Is(err, bus.ErrRejected) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read who grew: %s: %w", m.Subject, err)
		}
		return ev.GetTrajectory().GetPolicy(), nil
	}
	return nil, nil
}

// findModel says which run, generation and target a model is of.
func findModel(ctx context.Context, conn *bus.Conn, model string) (Lineage, error) {
	if parts := strings.Split(model, "/"); len(parts) == 2 || len(parts) == 3 {
		if generation, err := strconv.Atoi(strings.TrimPrefix(parts[1], "gen-")); err == nil && generation >= 0 {
			place := Lineage{Run: parts[0], Generation: generation, Target: "own"}
			if len(parts) == 3 {
				place.Target = parts[2]
			}
			return place, nil
		}
	}
	for _, stream := range []string{bus.Training, bus.Evals} {
		for m, err := range conn.Read(ctx, stream) {
			if err != nil {
				return Lineage{}, fmt.Errorf("look for model %s: %w", model, err)
			}
			s, err := m.Parse()
			if err != nil || s.What == "job" {
				continue
			}
			ev, err := m.Event(ctx)
			if errors.Is(err, bus.ErrRejected) {
				continue
			}
			if err != nil {
				return Lineage{}, fmt.Errorf("look for model %s: %s: %w", model, m.Subject, err)
			}
			if isModel(ev, model) {
				return Lineage{Run: s.Run, Generation: s.Generation, Target: s.Target}, nil
			}
		}
	}
	return Lineage{}, fmt.Errorf("model %q: %w", model, bus.ErrNotFound)
}

// shortID is how many digits of a checkpoint's id name it.
const shortID = 8

func isModel(ev *pb.Event, model string) bool {
	if c := ev.GetCheckpoint(); c != nil {
		return c.GetId() == model || len(model) >= shortID && strings.HasPrefix(c.GetId(), model)
	}
	return ev.GetDeployment().GetPolicy().GetName() == model && model != "" ||
		ev.GetReport().GetPolicy().GetName() == model && model != ""
}

// ExampleLineage is where one training example comes from.
type ExampleLineage struct {
	Story Story
	Step  *pb.Step
	// Ranker whose choice is the target; empty if nobody ranked the step.
	Ranker  string
	Ranking *pb.StepRanking
	Target  int32
}

// FindExample finds an example by <identity>#<step>. ranker is whose choice counts; empty takes the first there is.
func FindExample(ctx context.Context, conn *bus.Conn, example, ranker string) (ExampleLineage, error) {
	tokens, number, ok := strings.Cut(example, "#")
	index, err := strconv.Atoi(number)
	if !ok || err != nil {
		return ExampleLineage{}, fmt.Errorf("example %q: want <identity>#<step>, such as run.1.own.grow.pool-7.0#3", example)
	}
	id, err := bus.ParseID(tokens)
	if err != nil {
		return ExampleLineage{}, err
	}
	story, err := ReadStory(ctx, conn, id)
	if err != nil {
		return ExampleLineage{}, err
	}
	out := ExampleLineage{Story: story}
	for _, step := range story.Trajectory.GetSteps() {
		if int(step.GetIndex()) == index {
			out.Step = step
		}
	}
	if out.Step == nil {
		return out, fmt.Errorf("trajectory %s has %d steps, no step %d: %w", tokens, len(story.Trajectory.GetSteps()), index, bus.ErrNotFound)
	}
	out.Target = out.Step.GetChosen()
	for _, f := range story.Feedback {
		if ranker == "" || f.GetRanker() == ranker {
			out.Ranker, out.Ranking, out.Target = f.GetRanker(), Ranking(f, out.Step.GetIndex()), Target(out.Step, f)
			break
		}
	}
	return out, nil
}

// IsNotFound tells that nothing of that name exists, as against that nobody could look.
func IsNotFound(err error) bool { return errors.Is(err, bus.ErrNotFound) }
