package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Finished yields the finished trajectories that match, each with what was said about it, in the order of identity. It
// keeps a key of about 100 bytes for each, and one trajectory. One that cannot be read is yielded with bus.ErrRejected and
// its identity alone; every other error ends it.
func Finished(ctx context.Context, conn *bus.Conn, q Query) iter.Seq2[Story, error] {
	return func(yield func(Story, error) bool) {
		f := finished{conn: conn, query: q}
		keys, err := f.keys(ctx)
		if err != nil {
			yield(Story{}, fmt.Errorf("list trajectories of %s: %w", q.Run, err))
			return
		}
		for _, k := range keys {
			story, err := f.story(ctx, k.identity(q.Run))
			if err != nil {
				err = fmt.Errorf("read trajectory %s: %w", bus.IDTokens(k.identity(q.Run)), err)
			}
			if !yield(story, err) || err != nil && !errors.Is(err, bus.ErrRejected) {
				return
			}
		}
	}
}

// finished reads the trajectories of a query.
type finished struct {
	conn  *bus.Conn
	query Query
	// rankers and judges are those who have spoken, by the purpose of what they have spoken about.
	rankers, judges map[pb.Purpose][]string
}

// key is an identity within a run, small.
type key struct {
	generation, sample int32
	purpose            pb.Purpose
	target, question   string
}

func (k key) identity(run string) *pb.Identity {
	return &pb.Identity{Run: run, Generation: k.generation, Target: k.target, Purpose: k.purpose, Question: k.question, Sample: k.sample}
}

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.generation, other.generation), compareTargets(k.target, other.target), cmp.Compare(k.purpose, other.purpose),
		cmp.Compare(k.question, other.question), cmp.Compare(k.sample, other.sample))
}

// keys lists what matches, and who has spoken. It reads headers only.
func (f *finished) keys(ctx context.Context) (keys []key, err error) {
	err = f.subjects(ctx, bus.Trajectories, "trajectory", func(s bus.Subject) {
		id := s.Identity
		keys = append(keys, key{id.GetGeneration(), id.GetSample(), id.GetPurpose(), id.GetTarget(), id.GetQuestion()})
	})
	slices.SortFunc(keys, key.compare)
	if err == nil {
		f.rankers, err = f.speakers(ctx, bus.Feedback, "feedback.*")
	}
	if err == nil {
		f.judges, err = f.speakers(ctx, bus.Verdicts, "verdict.*")
	}
	return keys, err
}

func (f *finished) speakers(ctx context.Context, stream, family string) (map[pb.Purpose][]string, error) {
	all := map[pb.Purpose][]string{}
	err := f.subjects(ctx, stream, family, func(s bus.Subject) {
		purpose := s.Identity.GetPurpose()
		if !slices.Contains(all[purpose], s.Kind) {
			all[purpose] = append(all[purpose], s.Kind)
			slices.Sort(all[purpose])
		}
	})
	return all, err
}

func (f *finished) subjects(ctx context.Context, stream, family string, note func(bus.Subject)) error {
	o := bus.FollowOptions{Filters: []string{"ratchet.v1." + family + "." + f.query.tokens()}, HeadersOnly: true}
	for m, err := range f.conn.ReadWith(ctx, stream, o) {
		if err != nil {
			return err
		}
		if s, err := m.Parse(); err == nil { // else it is nobody's
			note(s)
		}
	}
	return nil
}

func (f *finished) story(ctx context.Context, id *pb.Identity) (Story, error) {
	s := Story{Trajectory: &pb.Trajectory{Identity: id}}
	ev, err := f.last(ctx, bus.Trajectories, bus.TrajectorySubject(id))
	if err != nil {
		return s, err
	}
	s.Trajectory = ev.GetTrajectory()
	for _, ranker := range f.rankers[id.GetPurpose()] {
		ev, err := f.said(ctx, bus.Feedback, bus.FeedbackSubject(ranker, id))
		if err != nil {
			return s, err
		}
		if said := ev.GetFeedback(); said != nil {
			s.Feedback = append(s.Feedback, said)
		}
	}
	for _, judge := range f.judges[id.GetPurpose()] {
		ev, err := f.said(ctx, bus.Verdicts, bus.VerdictSubject(judge, id))
		if err != nil {
			return s, err
		}
		if said := ev.GetVerdict(); said != nil {
			s.Verdicts = append(s.Verdicts, said)
		}
	}
	return s, nil
}

// said is nil where nothing was said, or nothing that can be read.
func (f *finished) said(ctx context.Context, stream, subject string) (*pb.Event, error) {
	ev, err := f.last(ctx, stream, subject)
	if errors.Is(err, bus.ErrNotFound) || errors.Is(err, bus.ErrRejected) {
		return nil, nil
	}
	return ev, err
}

func (f *finished) last(ctx context.Context, stream, subject string) (*pb.Event, error) {
	m, err := f.conn.Last(ctx, stream, subject)
	if err != nil {
		return nil, err
	}
	return m.Event(ctx)
}
