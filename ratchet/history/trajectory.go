package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Story is one trajectory and everything that was said about it.
type Story struct {
	Trajectory *pb.Trajectory
	// Running: it is not finished; the steps are those of the journal.
	Running  bool
	Feedback []*pb.Feedback
	Verdicts []*pb.Verdict
}

// Query selects trajectories of a run. Empty strings and -1 match any.
type Query struct {
	Run        string
	Generation int
	Target     string
	Purpose    string
	Question   string
	Sample     int
}

// tokens is the query as six tokens of a subject filter.
func (q Query) tokens() string {
	text := func(s string) string { return cmp.Or(s, "*") }
	count := func(n int) string {
		if n < 0 {
			return "*"
		}
		return strconv.Itoa(n)
	}
	return strings.Join([]string{
		text(q.Run), count(q.Generation), text(q.Target), text(q.Purpose), text(q.Question), count(q.Sample),
	}, ".")
}

// FindTrajectories lists the identities that match, finished or running, in the order of generation, target,
// purpose, question and sample.
func FindTrajectories(ctx context.Context, conn *bus.Conn, q Query) ([]*pb.Identity, error) {
	seen := map[string]*pb.Identity{}
	for stream, family := range map[string]string{bus.Trajectories: "trajectory", bus.Steps: "step"} {
		o := bus.FollowOptions{Filters: []string{"ratchet.v1." + family + "." + q.tokens()}, HeadersOnly: true}
		for m, err := range conn.ReadWith(ctx, stream, o) {
			if err != nil {
				return nil, fmt.Errorf("find trajectories: %w", err)
			}
			s, err := m.Parse()
			if err != nil {
				continue
			}
			seen[bus.IDTokens(s.Identity)] = s.Identity
		}
	}
	var all []*pb.Identity
	for _, id := range seen {
		all = append(all, id)
	}
	slices.SortFunc(all, compareIdentities)
	return all, nil
}

func compareIdentities(a, b *pb.Identity) int {
	return cmp.Or(cmp.Compare(a.GetRun(), b.GetRun()), cmp.Compare(a.GetGeneration(), b.GetGeneration()),
		compareTargets(a.GetTarget(), b.GetTarget()), cmp.Compare(a.GetPurpose(), b.GetPurpose()),
		cmp.Compare(a.GetQuestion(), b.GetQuestion()), cmp.Compare(a.GetSample(), b.GetSample()))
}

// ReadStory reads a trajectory, or its journal while it runs, with its feedback and verdicts. An identity that
// nobody has begun is bus.ErrNotFound.
func ReadStory(ctx context.Context, conn *bus.Conn, id *pb.Identity) (Story, error) {
	s, err := readTrajectory(ctx, conn, id)
	if err != nil {
		return s, fmt.Errorf("read trajectory %s: %w", bus.IDTokens(id), err)
	}
	err = s.add(ctx, conn, bus.Feedback, "feedback", id)
	if err == nil {
		err = s.add(ctx, conn, bus.Verdicts, "verdict", id)
	}
	if err != nil {
		return s, fmt.Errorf("read what was said about %s: %w", bus.IDTokens(id), err)
	}
	return s, nil
}

func readTrajectory(ctx context.Context, conn *bus.Conn, id *pb.Identity) (Story, error) {
	m, err := conn.Last(ctx, bus.Trajectories, bus.TrajectorySubject(id))
	if errors.Is(err, bus.ErrNotFound) {
		return readJournal(ctx, conn, id)
	}
	if err != nil {
		return Story{}, err
	}
	ev, err := m.Event(ctx)
	if err != nil {
		return Story{}, err
	}
	return Story{Trajectory: ev.GetTrajectory()}, nil
}

func readJournal(ctx context.Context, conn *bus.Conn, id *pb.Identity) (Story, error) {
	s := Story{Trajectory: &pb.Trajectory{Identity: id}, Running: true}
	for m, err := range conn.Read(ctx, bus.Steps, bus.StepSubject(id)) {
		if err != nil {
			return s, err
		}
		ev, err := m.Event(ctx)
		if err != nil && !errors.Is(err, bus.ErrRejected) {
			return s, err
		}
		if step := ev.GetStep(); step != nil {
			s.Trajectory.Steps = append(s.Trajectory.Steps, step)
		}
	}
	if len(s.Trajectory.Steps) == 0 {
		return s, bus.ErrNotFound
	}
	return s, nil
}

func (s *Story) add(ctx context.Context, conn *bus.Conn, stream, family string, id *pb.Identity) error {
	for m, err := range conn.Read(ctx, stream, "ratchet.v1."+family+".*."+bus.IDTokens(id)) {
		if err != nil {
			return err
		}
		ev, err := m.Event(ctx)
		if err != nil && !errors.Is(err, bus.ErrRejected) {
			return err
		}
		if f := ev.GetFeedback(); f != nil {
			s.Feedback = append(s.Feedback, f)
		}
		if v := ev.GetVerdict(); v != nil {
			s.Verdicts = append(s.Verdicts, v)
		}
	}
	return nil
}

// Ranking is what a ranker said of a step, nil if nothing.
func Ranking(f *pb.Feedback, step int32) *pb.StepRanking {
	for _, r := range f.GetSteps() {
		if r.GetStep() == step {
			return r
		}
	}
	return nil
}

// Target is the candidate that a step's training example has: the ranker's first choice, else the one that
// continued.
func Target(step *pb.Step, f *pb.Feedback) int32 {
	if r := Ranking(f, step.GetIndex()); len(r.GetRanking()) > 0 {
		return r.GetRanking()[0]
	}
	return step.GetChosen()
}
