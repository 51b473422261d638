package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/choice"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/sheet"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type judgeImportCommand struct {
	Name   string `arg:"" name:"run" predictor:"run" help:"The run."`
	File   string `arg:"" type:"existingfile" predictor:"file" help:"A filled sheet of ratchet judge export."`
	Ranker string `default:"human" help:"In whose name; any other than human needs a key of its own (bus.rankers)."`
	DryRun bool   `help:"Check all of it, and publish nothing."`
}

func (judgeImportCommand) Help() string {
	return `Every line is checked before anything is published. Trajectories without any rank are left out and can come later; of one
that has ranks every step must be ranked, for its feedback is written once and stands. The same file again changes nothing,
and an import that was cut goes on. An output with an empty element comes behind the others, whoever ranks.

It needs the key of the role human, which may give this feedback and nothing else (docs/permissions.md). Whether people and
the judge agree is in ratchet report. A run whose rankers include human waits in its rank phase until all is imported.

    ratchet judge import demo-7f3a rankings.csv --dry-run
    ratchet judge import demo-7f3a rankings.csv
    ratchet judge import demo-7f3a rankings.csv --ranker anna --set bus.nkey_file=auth/anna.nk`
}

// imported is what the command prints.
type imported struct {
	Published int `json:"published"`
	// Existing were published before, Unranked have no rank in the sheet.
	Existing int `json:"existing"`
	Unranked int `json:"unranked"`
}

func (c *judgeImportCommand) Run(ctx context.Context, in *invocation) error {
	if ours := config.Default().Rank.Rankers; !config.IsToken(c.Ranker) || slices.Contains(ours, c.Ranker) {
		return usage(fmt.Errorf("--ranker %q is no name for people", c.Ranker), "leave it out, or use a-z, 0-9 and dashes")
	}
	papers, err := c.read()
	if err != nil {
		return err
	}
	s, err := in.connectAs(ctx, c.Ranker)
	if err != nil {
		return err
	}
	defer s.close()
	if _, _, err := s.bus.KV(runstate.Bucket).Get(ctx, runstate.SpecKey(c.Name)); errors.Is(err, bus.ErrNotFound) {
		return notFound("`ratchet status` lists the runs", "no run %q", c.Name)
	} else if err != nil {
		return fmt.Errorf("read run %s: %w", c.Name, err)
	}
	var out imported
	feedback, err := c.check(ctx, s.bus, papers, &out)
	if err != nil {
		return err
	}
	if !c.DryRun {
		for _, f := range feedback {
			if err := c.publish(ctx, s.bus, f); err != nil {
				return err
			}
			out.Published++
		}
	}
	return in.print(out, nil, func(view.Paint) string {
		if c.DryRun {
			return fmt.Sprintf("%s: would publish %d feedback of %s; %d are there already, %d trajectories have no rank\n", c.Name, len(feedback), view.Safe(c.Ranker), out.Existing, out.Unranked)
		}
		return fmt.Sprintf("%s: published %d feedback of %s; %d were there already, %d trajectories have no rank\n", c.Name, out.Published, view.Safe(c.Ranker), out.Existing, out.Unranked)
	})
}

// ballot is one row: one output, and its rank, 0 if it has none.
type ballot struct {
	sheet.Row

	candidate int32
	rank      int
}

// paper is one trajectory of a sheet.
type paper struct {
	sheet.Row // its first one

	id   *pb.Identity
	seed uint64
	// steps are the rows by step.
	steps map[int32][]ballot
}

// read reads the sheet's trajectories, in the order of their first rows.
func (c *judgeImportCommand) read() ([]*paper, error) {
	rows, err := sheet.Read(c.File, columnRank, columnOutput, columnIdentity, columnStep, columnCandidate, columnSeed)
	if err != nil {
		return nil, err
	}
	var all []*paper
	var wrong []error
	known := map[string]*paper{}
	for _, row := range rows {
		p := known[row.Word(columnIdentity)]
		if p == nil {
			if p, err = c.begin(row); err != nil {
				wrong = append(wrong, err)
				continue
			}
			known[row.Word(columnIdentity)] = p
			all = append(all, p)
		}
		wrong = append(wrong, p.add(row))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, usage(fmt.Errorf("%s holds no row", c.File), "fill in a sheet of `ratchet judge export`")
	}
	return all, nil
}

func (c *judgeImportCommand) begin(row sheet.Row) (*paper, error) {
	id, err := bus.ParseID(row.Word(columnIdentity))
	if err != nil || id.GetRun() != c.Name || id.GetPurpose() != pb.Purpose_PURPOSE_GROW {
		return nil, row.Wrong(fmt.Sprintf("identity %q", row.Word(columnIdentity)), c.Name+".<generation>.<target>.grow.<question>.<sample>", "leave the column as it was exported")
	}
	seed, err := strconv.ParseUint(row.Word(columnSeed), 10, 64)
	if err != nil {
		return nil, row.Wrong(fmt.Sprintf("seed %q", row.Word(columnSeed)), "the number that was exported", "leave the column as it was exported")
	}
	return &paper{Row: row, id: id, seed: seed, steps: map[int32][]ballot{}}, nil
}

func (p *paper) add(row sheet.Row) error {
	number := func(column string) (int32, error) {
		n, err := strconv.ParseInt(row.Word(column), 10, 32)
		if err != nil || n < 0 {
			return 0, row.Wrong(fmt.Sprintf("%s %q", column, row.Word(column)), "the number that was exported", "leave the column as it was exported")
		}
		return int32(n), nil
	}
	step, err := number(columnStep)
	if err != nil {
		return err
	}
	b := ballot{Row: row}
	if b.candidate, err = number(columnCandidate); err != nil {
		return err
	}
	if word := row.Word(columnRank); word != "" {
		if b.rank, err = strconv.Atoi(word); err != nil || b.rank < 1 {
			return row.Wrong(fmt.Sprintf("rank %q", word), "a whole number from 1, the best, or nothing", "")
		}
	}
	if row.Word(columnSeed) != p.Word(columnSeed) {
		return row.Wrong(fmt.Sprintf("seed %q", row.Word(columnSeed)), fmt.Sprintf("%d, as at %s", p.seed, p.Place), "leave the column as it was exported")
	}
	p.steps[step] = append(p.steps[step], b)
	return nil
}

// ranked says whether anybody has ranked anything of it.
func (p *paper) ranked() bool {
	for _, ballots := range p.steps {
		if slices.ContainsFunc(ballots, func(b ballot) bool { return b.rank > 0 }) {
			return true
		}
	}
	return false
}

// check makes the feedback that is to be published, or says all that is wrong.
func (c *judgeImportCommand) check(ctx context.Context, conn *bus.Conn, papers []*paper, out *imported) ([]*pb.Feedback, error) {
	var all []*pb.Feedback
	var wrong []error
	for _, p := range papers {
		if !p.ranked() {
			out.Unranked++
			continue
		}
		f, err := c.feedback(ctx, conn, p)
		if err == nil {
			var there bool
			if there, err = c.there(ctx, conn, p, f); err == nil && there {
				out.Existing++
				continue
			}
		}
		wrong, all = append(wrong, err), append(all, f)
	}
	return all, errors.Join(wrong...)
}

// feedback is what a paper says, if that is whole.
func (c *judgeImportCommand) feedback(ctx context.Context, conn *bus.Conn, p *paper) (*pb.Feedback, error) {
	t, err := completed(ctx, conn, p.id)
	if err != nil {
		return nil, err
	}
	steps, err := stepsToRank(t, p.seed)
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		return nil, p.Wrong("no completed trajectory "+bus.IDTokens(p.id), "one of run "+c.Name, "is this the installation that the sheet was exported from?")
	}
	f := &pb.Feedback{Identity: p.id, Ranker: c.Ranker, Outcome: pb.Outcome_OUTCOME_COMPLETED, Usage: &pb.Usage{}}
	var wrong []error
	for _, s := range steps {
		ranking, err := p.ranking(s)
		wrong, f.Steps = append(wrong, err), append(f.Steps, ranking)
		delete(p.steps, s.GetIndex())
	}
	for _, step := range slices.Sorted(maps.Keys(p.steps)) {
		wrong = append(wrong, p.steps[step][0].Wrong(fmt.Sprintf("step %d", step), fmt.Sprintf("a step of a trajectory of %d steps", len(steps)), "leave the column as it was exported"))
	}
	return f, errors.Join(wrong...)
}

// longestWhy is what is kept of anybody's explanation, in bytes: it is on the bus for ever.
const longestWhy = 4 << 10

// ranking is what a paper says of one step.
func (p *paper) ranking(s *choice.Step) (*pb.StepRanking, error) {
	r := &pb.StepRanking{Step: s.GetIndex(), Ranking: s.Options, RankedBy: pb.RankedBy_RANKED_BY_SINGLE}
	ballots := p.steps[s.GetIndex()]
	if s.Single() && len(ballots) == 0 {
		return r, nil
	}
	where := p.Row
	if len(ballots) > 0 {
		where = ballots[0].Row
	}
	slots := s.Shuffled(0)
	r.Ranking = make([]int32, len(slots))
	if !s.Single() {
		r.Slots, r.RankedBy = slots, pb.RankedBy_RANKED_BY_RANKER
	}
	seen := map[int32]bool{}
	for _, b := range ballots {
		switch {
		case !slices.Contains(slots, b.candidate) || seen[b.candidate]:
			return nil, b.Wrong(fmt.Sprintf("step %d: candidate %d", s.GetIndex(), b.candidate), fmt.Sprintf("each of %d once", slices.Sorted(slices.Values(slots))), "leave the rows as they were exported")
		case !sheet.Same(b.Cell(columnOutput), visible(s.GetCandidates()[b.candidate].GetText())):
			return nil, b.Wrong(fmt.Sprintf("step %d: the output is not that of candidate %d", s.GetIndex(), b.candidate), "the text that was exported", "if the sheet was sorted, sort whole rows")
		case b.rank < 1 || b.rank > len(slots):
			return nil, b.Wrong(fmt.Sprintf("step %d: rank %q", s.GetIndex(), b.Word(columnRank)), fmt.Sprintf("1 to %d, each once; or no rank at all in %s", len(slots), bus.IDTokens(p.id)), "")
		case slices.ContainsFunc(ballots, func(other ballot) bool { return other.rank == b.rank && other.candidate != b.candidate }):
			return nil, b.Wrong(fmt.Sprintf("step %d: rank %d stands twice", s.GetIndex(), b.rank), fmt.Sprintf("1 to %d, each once", len(slots)), "")
		}
		if len(b.Cell(columnWhy)) > longestWhy {
			return nil, b.Wrong(fmt.Sprintf("why has %d bytes", len(b.Cell(columnWhy))), fmt.Sprintf("%d at most", longestWhy), "shorten it")
		}
		seen[b.candidate] = true
		r.Ranking[b.rank-1] = b.candidate
		if b.rank == 1 {
			r.Explanation = visible(b.Cell(columnWhy))
		}
	}
	if len(seen) < len(slots) {
		return nil, where.Wrong(fmt.Sprintf("step %d of %s has %d rows", s.GetIndex(), bus.IDTokens(p.id), len(ballots)), fmt.Sprintf("%d, one for each output", len(slots)), "leave the rows as they were exported")
	}
	s.EmptyLast(r)
	return r, nil
}

// there says whether the very same feedback is published already. Another one stands, whatever the sheet says.
func (c *judgeImportCommand) there(ctx context.Context, conn *bus.Conn, p *paper, f *pb.Feedback) (bool, error) {
	m, err := conn.Last(ctx, bus.Feedback, bus.FeedbackSubject(c.Ranker, p.id))
	if errors.Is(err, bus.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for feedback of %s: %w", bus.IDTokens(p.id), err)
	}
	ev, err := m.Event(ctx)
	if err != nil {
		return false, fmt.Errorf("look for feedback of %s: %w", bus.IDTokens(p.id), err)
	}
	if !proto.Equal(ev.GetFeedback(), f) {
		return false, c.stands(p.id)
	}
	return true, nil
}

func (c *judgeImportCommand) stands(id *pb.Identity) error {
	return refused("drop its rows; what is published stands", "%s has other feedback of %s already", bus.IDTokens(id), c.Ranker)
}

func (c *judgeImportCommand) publish(ctx context.Context, conn *bus.Conn, f *pb.Feedback) error {
	id := f.GetIdentity()
	ack, err := conn.Publish(ctx, bus.FeedbackSubject(c.Ranker, id), &pb.Event{
		Run: id.GetRun(), Generation: id.GetGeneration(), Body: &pb.Event_Feedback{Feedback: f},
	})
	if err == nil && ack.Conflict {
		err = c.stands(id)
	}
	return err
}
