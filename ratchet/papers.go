package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/choice"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/dataset"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/sheet"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type judgeExportCommand struct {
	Name       string `arg:"" name:"run" predictor:"run" help:"The run."`
	CSV        string `name:"csv" required:"" predictor:"file" placeholder:"FILE" help:"The file to write; one that is there is left alone."`
	Sheet      string `enum:"rankings,answers" default:"rankings" help:"What people do: ${enum}."`
	Sample     int    `placeholder:"N" help:"So many trajectories, drawn by the seed. Defaults to all."`
	Seed       uint64 `default:"1" help:"Of the sample and of the order in which things are shown; it is in the sheet."`
	Generation int    `default:"-1" help:"Of this generation only."`
	Target     string `help:"Of this target only."`
	Ranker     string `default:"human" help:"Leave out what this ranker has ranked already."`
}

func (judgeExportCommand) Help() string {
	return `Rankings: a row for each output of each step of grown trajectories that has more than one, in shuffled order. Fill in the
column rank, 1 for the best, for every output of a trajectory's steps, or leave a trajectory out; then ratchet judge import.
Why the best is the best may stand beside it.

Answers: a row for each evaluated answer with the question and its reference answer. Fill in label (true or false) and who;
then ratchet judge calibrate --labels. Neither sheet says what rankers and judges think.

    ratchet judge export demo-7f3a --csv rankings.csv --sample 20
    ratchet judge export demo-7f3a --csv answers.csv --sheet answers --sample 100 --generation 1`
}

func (c *judgeExportCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	spec, err := s.spec(ctx, c.Name)
	if err != nil {
		return err
	}
	ids, err := c.draw(ctx, s)
	if err != nil {
		return err
	}
	var out exported
	err = writeWhole(c.CSV, func(w io.Writer) (err error) {
		write := c.rankings
		if c.Sheet == "answers" {
			write = c.answers
		}
		if out, err = write(ctx, s, spec, ids, w); err == nil && out.Trajectories == 0 {
			err = notFound("wait for trajectories, or drop --generation and --target", "nothing to fill in: no finished trajectory of %s that is not done already", c.Name)
		}
		return err
	})
	if err != nil {
		return err
	}
	if out.Broken > 0 {
		in.note("%d trajectories are left out: their steps cannot be replayed; were they made by another version of the agent?", out.Broken)
	}
	out.File, out.Seed = c.CSV, c.Seed
	return in.print(out, []string{c.CSV}, func(view.Paint) string {
		return fmt.Sprintf("%s  %s trajectories  %s rows  seed %d\n", view.Safe(c.CSV), view.Count(int64(out.Trajectories)), view.Count(int64(out.Rows)), c.Seed)
	})
}

// exported is what a sheet holds.
type exported struct {
	File         string `json:"file"`
	Trajectories int    `json:"trajectories"`
	Rows         int    `json:"rows"`
	Seed         uint64 `json:"seed"`
	// Broken trajectories cannot be replayed, and nobody can rank them.
	Broken int `json:"broken"`
}

// draw lists the trajectories in an order that derives from the seed, without those that are ranked already.
func (c *judgeExportCommand) draw(ctx context.Context, s *session) ([]*pb.Identity, error) {
	q := history.Query{Run: c.Name, Generation: c.Generation, Target: c.Target, Purpose: "grow", Sample: -1}
	if c.Sheet == "answers" {
		q.Purpose = "eval"
	}
	ids, err := history.FindTrajectories(ctx, s.bus, q)
	if err != nil {
		return nil, err
	}
	done := map[string]bool{}
	o := bus.FollowOptions{Filters: []string{bus.RunFilter(bus.Feedback, c.Name)}, HeadersOnly: true}
	for m, err := range s.bus.ReadWith(ctx, bus.Feedback, o) {
		if err != nil {
			return nil, fmt.Errorf("read what is ranked already: %w", err)
		}
		if subject, err := m.Parse(); err == nil && subject.Kind == c.Ranker {
			done[bus.IDTokens(subject.Identity)] = true
		}
	}
	ids = slices.DeleteFunc(ids, func(id *pb.Identity) bool { return done[bus.IDTokens(id)] })
	lot := func(id *pb.Identity) string {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", c.Seed, bus.IDTokens(id)))
		return string(sum[:])
	}
	slices.SortFunc(ids, func(a, b *pb.Identity) int { return cmp.Compare(lot(a), lot(b)) })
	return ids, nil
}

// Columns of a sheet of rankings, beside identity and question.
const (
	columnStep      = "step"
	columnKind      = "kind"
	columnState     = "state"
	columnCandidate = "candidate"
	columnOutput    = "output"
	columnRank      = "rank"
	columnWhy       = "why"
	columnSeed      = "seed"
)

// rankings writes what there is to rank, trajectory by trajectory, until the sample is full.
func (c *judgeExportCommand) rankings(ctx context.Context, s *session, _ config.Run, ids []*pb.Identity, w io.Writer) (n exported, err error) {
	out := sheet.NewWriter(w, columnRank, columnOutput, columnState, columnKind, columnQuestion, columnWhy, columnIdentity, columnStep, columnCandidate, columnSeed)
	for _, id := range ids {
		t, err := completed(ctx, s.bus, id)
		if err != nil {
			return n, err
		}
		steps, err := stepsToRank(t, c.Seed)
		if err != nil {
			n.Broken++
			continue
		}
		rows := paperOf(t, steps, c.Seed, out)
		if rows == 0 && len(steps) > 0 && c.Sample == 0 {
			// Nothing to decide, but a run that waits for people waits for this too: one row, filled in.
			rows = stepOf(t, steps[0], "1", c.Seed, out)
		}
		if rows > 0 {
			n.Trajectories, n.Rows = n.Trajectories+1, n.Rows+rows
		}
		if n.Trajectories == c.Sample && c.Sample > 0 {
			break
		}
	}
	return n, out.Close()
}

// paperOf writes one trajectory's rows. The state stands at a step's first output only.
func paperOf(t *pb.Trajectory, steps []*choice.Step, seed uint64, out *sheet.Writer) (rows int) {
	for _, s := range steps {
		if !s.Single() {
			rows += stepOf(t, s, "", seed, out)
		}
	}
	return rows
}

func stepOf(t *pb.Trajectory, s *choice.Step, rank string, seed uint64, out *sheet.Writer) (rows int) {
	state := visible(s.Prompt)
	for _, candidate := range s.Shuffled(0) {
		out.Row(rank, visible(s.GetCandidates()[candidate].GetText()), state, agent.KindName(s.GetKind()), visible(t.GetQuestion()), "",
			bus.IDTokens(t.GetIdentity()), fmt.Sprint(s.GetIndex()), fmt.Sprint(candidate), strconv.FormatUint(seed, 10))
		state = ""
		rows++
	}
	return rows
}

// stepsToRank are the steps of a trajectory as people are shown them: in an order that derives from the seed. A trajectory
// that is none, or did not complete, has none.
func stepsToRank(t *pb.Trajectory, seed uint64) ([]*choice.Step, error) {
	if t.GetOutcome() != pb.Outcome_OUTCOME_COMPLETED {
		return nil, nil
	}
	steps, err := choice.Steps(t, fmt.Sprintf("people, seed %d", seed))
	if err != nil {
		return nil, fmt.Errorf("trajectory %s: %w", bus.IDTokens(t.GetIdentity()), err)
	}
	return steps, nil
}

// completed reads a finished trajectory; nil if it is running yet, or is not what its subject says.
func completed(ctx context.Context, conn *bus.Conn, id *pb.Identity) (*pb.Trajectory, error) {
	m, err := conn.Last(ctx, bus.Trajectories, bus.TrajectorySubject(id))
	if errors.Is(err, bus.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		var ev *pb.Event
		if ev, err = m.Event(ctx); err == nil {
			return ev.GetTrajectory(), nil
		}
	}
	if errors.Is(err, bus.ErrRejected) {
		return nil, nil
	}
	return nil, fmt.Errorf("read trajectory %s: %w", bus.IDTokens(id), err)
}

// visible is a text whose hidden characters, which might deceive whoever reads it, are to be seen; its lines stand.
func visible(text string) string {
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r", "")), "\n")
	for i, line := range lines {
		lines[i] = view.Safe(line)
	}
	return strings.Join(lines, "\n")
}

// answers writes evaluated answers to label.
func (c *judgeExportCommand) answers(ctx context.Context, s *session, spec config.Run, ids []*pb.Identity, w io.Writer) (n exported, err error) {
	gold, err := s.gold(ctx, spec)
	if err != nil {
		return n, err
	}
	out := sheet.NewWriter(w, columnLabel, columnWho, columnQuestion, "answer", "reference", columnIdentity)
	for _, id := range ids {
		t, err := completed(ctx, s.bus, id)
		if err != nil {
			return n, err
		}
		if t.GetOutcome() != pb.Outcome_OUTCOME_COMPLETED {
			continue
		}
		out.Row("", "", visible(t.GetQuestion()), visible(t.GetAnswer()), visible(strings.Join(gold[id.GetQuestion()], " or ")), bus.IDTokens(id))
		if n.Trajectories, n.Rows = n.Trajectories+1, n.Rows+1; n.Trajectories == c.Sample {
			break
		}
	}
	return n, out.Close()
}

// gold reads the right answers of the evaluation set, by the question's token.
func (s *session) gold(ctx context.Context, spec config.Run) (map[string][]string, error) {
	blobs, err := s.store()
	if err != nil {
		return nil, err
	}
	key, err := blobs.Key(spec.Evaluation.Set.GoldURI)
	if err != nil {
		return nil, fmt.Errorf("read the reference answers: %w", err)
	}
	body, err := blobs.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read the reference answers: %w", err)
	}
	defer body.Close()
	gold := map[string][]string{}
	for one, err := range dataset.ReadGold(body) {
		if err != nil {
			return nil, fmt.Errorf("read the reference answers: %w", err)
		}
		gold[one.Token] = one.Answers
	}
	return gold, nil
}
