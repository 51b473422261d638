package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Ledger says what became of everything that a run set out to do.
type Ledger struct {
	Run     string  `json:"run"`
	Entries []Entry `json:"entries"`
	Usage   Usage   `json:"usage"`
	// Balanced: every entry adds up.
	Balanced bool `json:"balanced"`
}

// Entry is the trajectories of one generation, target and purpose, and what was said about them.
type Entry struct {
	Generation int    `json:"generation"`
	Target     string `json:"target"`
	Purpose    string `json:"purpose"`
	// Left: the run has left every phase that made these trajectories, so that nothing may be open.
	Left      bool             `json:"left"`
	Expected  int64            `json:"expected"`
	Completed int64            `json:"completed"`
	Failed    map[string]int64 `json:"failed"`
	Dead      int64            `json:"dead"`
	// InFlight counts trajectories that an outstanding task names, Unpublished those that no task names yet.
	InFlight    int64            `json:"in_flight"`
	Unpublished int64            `json:"unpublished"`
	Feedback    map[string]int64 `json:"feedback"`
	Verdicts    map[string]int64 `json:"verdicts"`
	// Mute counts trajectories whose feedback or verdict is a dead letter, by worker kind.
	Mute map[string]int64 `json:"mute"`
	// Spent is what was paid for, by role: grow, eval, rank, judge.
	Spent map[string]Usage `json:"spent"`
	// Candidates counts those of the trajectories' steps, by step kind.
	Candidates map[string]bus.Candidates `json:"candidates"`
	// Wrong says in what the entry does not add up.
	Wrong []string `json:"wrong"`
}

// Usage is what was paid for.
type Usage = runstate.Usage

// Roles that calls are paid for.
const (
	RoleRank  = "rank"
	RoleJudge = "judge"
)

// group is what is counted together.
type group struct {
	generation int
	target     string
	purpose    pb.Purpose
}

func groupOf(id *pb.Identity) group {
	return group{int(id.GetGeneration()), id.GetTarget(), id.GetPurpose()}
}

// ledger is a Ledger in the making.
type ledger struct {
	conn    *bus.Conn
	run     string
	entries map[group]*Entry
	// expected is by line of the run's log, because a line may be told twice.
	expected map[group]map[string]int64
	ranked   map[int]int64 // feedback that the rank phase of a generation waits for
	left     map[stage]bool
	// outstanding is the trajectories that tasks name; deaths those that dead letters name, by worker kind.
	outstanding map[string]group
	deaths      map[death]group
	usage       Usage
}

// stage is a phase of a generation.
type stage struct {
	generation int
	phase      pb.Phase
}

type death struct{ kind, identity string }

const kindRollout = "rollout"

// ReadLedger counts a run's trajectories, feedback and verdicts. A run of which the streams know nothing has an
// empty ledger.
func ReadLedger(ctx context.Context, conn *bus.Conn, run string) (Ledger, error) {
	l := &ledger{
		conn: conn, run: run, entries: map[group]*Entry{}, expected: map[group]map[string]int64{}, ranked: map[int]int64{},
		left: map[stage]bool{}, outstanding: map[string]group{}, deaths: map[death]group{},
	}
	tasks := conn.Browse(ctx, bus.Tasks, bus.RunFilter(bus.Tasks, run)) // a consumer would take them from the workers
	if err := each(ctx, tasks, l.noteTask); err != nil {
		return Ledger{}, fmt.Errorf("read the ledger of %s: outstanding tasks: %w", run, err)
	}
	for _, pass := range []struct {
		stream  string
		headers bool
		note    func(context.Context, *bus.Message) error
	}{
		{bus.Dead, false, l.noteDeath},
		{bus.Runs, false, l.noteLog},
		{bus.Trajectories, true, l.noteTrajectory},
		{bus.Feedback, true, l.noteFeedback},
		{bus.Verdicts, true, l.noteVerdict},
	} {
		o := bus.FollowOptions{Filters: []string{bus.RunFilter(pass.stream, run)}, HeadersOnly: pass.headers}
		if err := each(ctx, conn.ReadWith(ctx, pass.stream, o), pass.note); err != nil {
			return Ledger{}, fmt.Errorf("read the ledger of %s: %w", run, err)
		}
	}
	return l.close(), nil
}

// each notes every message but those that are not what their subject says, until one cannot be noted.
func each(ctx context.Context, messages iter.Seq2[*bus.Message, error], note func(context.Context, *bus.Message) error) error {
	for m, err := range messages {
		if err == nil {
			err = note(ctx, m)
		}
		if err != nil && !errors.Is(err, bus.ErrRejected) {
			return err
		}
	}
	return nil
}

func (l *ledger) entry(g group) *Entry {
	e, ok := l.entries[g]
	if !ok {
		e = &Entry{
			Generation: g.generation, Target: g.target, Purpose: PurposeName(g.purpose), Failed: map[string]int64{},
			Feedback: map[string]int64{}, Verdicts: map[string]int64{}, Mute: map[string]int64{}, Wrong: []string{},
			Spent: map[string]Usage{}, Candidates: map[string]bus.Candidates{},
		}
		l.entries[g] = e
	}
	return e
}

// PurposeName is a purpose as subjects write it.
func PurposeName(p pb.Purpose) string {
	if p == pb.Purpose_PURPOSE_EVAL {
		return "eval"
	}
	return "grow"
}

func (l *ledger) noteTask(ctx context.Context, m *bus.Message) error {
	ev, err := m.Event(ctx)
	if err != nil {
		return fmt.Errorf("task %s: %w", m.Subject, err)
	}
	if id, err := bus.AgainOf(ev.GetTask()); err == nil { // its letter is being replayed: mute until it has spoken
		l.deaths[death{ev.GetTask().GetKind(), bus.IDTokens(id)}] = groupOf(id)
	}
	shard := ev.GetTask().GetShard()
	for _, q := range shard.GetQuestions() {
		for n := range shard.GetSamples() {
			id := &pb.Identity{
				Run: ev.GetRun(), Generation: ev.GetGeneration(), Target: shard.GetTarget(), Purpose: shard.GetPurpose(),
				Question: q.GetToken(), Sample: shard.GetFirstSample() + n,
			}
			l.outstanding[bus.IDTokens(id)] = groupOf(id)
		}
	}
	return nil
}

func (l *ledger) noteDeath(ctx context.Context, m *bus.Message) error {
	ev, err := m.Event(ctx)
	if err != nil {
		return fmt.Errorf("dead letter %d: %w", m.Seq, err)
	}
	letter := ev.GetDeadLetter()
	for _, id := range letter.GetIdentities() {
		l.deaths[death{letter.GetKind(), bus.IDTokens(id)}] = groupOf(id)
	}
	return nil
}

func (l *ledger) noteLog(ctx context.Context, m *bus.Message) error {
	ev, err := m.Event(ctx)
	if err != nil {
		return fmt.Errorf("log line %d: %w", m.Seq, err)
	}
	line, generation := ev.GetRunLog(), int(ev.GetGeneration())
	switch line.GetWhat() {
	case "left":
		l.left[stage{generation, line.GetPhase()}] = true
	case "entered":
		l.noteEntered(ev.GetId(), generation, line)
	}
	return nil
}

func (l *ledger) noteEntered(id string, generation int, line *pb.RunLog) {
	g := group{generation, line.GetTarget(), pb.Purpose_PURPOSE_EVAL}
	switch line.GetPhase() {
	case pb.Phase_PHASE_BASELINE, pb.Phase_PHASE_EVALUATE:
	case pb.Phase_PHASE_GROW:
		g.purpose = pb.Purpose_PURPOSE_GROW
	case pb.Phase_PHASE_RANK:
		l.ranked[generation] = line.GetExpected()
		return
	default:
		return
	}
	l.entry(g)
	if l.expected[g] == nil {
		l.expected[g] = map[string]int64{}
	}
	l.expected[g][id] = line.GetExpected()
	// Entered after it was left (another look, or a resume): open again.
	delete(l.left, stage{generation, line.GetPhase()})
}

func (l *ledger) noteTrajectory(_ context.Context, m *bus.Message) error {
	s, e, err := l.paid(m, "")
	if err != nil {
		return err
	}
	for kind, n := range m.Candidates() {
		sum := e.Candidates[kind]
		e.Candidates[kind] = bus.Candidates{Drawn: sum.Drawn + n.Drawn, Unparsable: sum.Unparsable + n.Unparsable}
	}
	if class, failed := strings.CutPrefix(m.Get(bus.HeaderOutcome), "failed/"); failed {
		e.Failed[class]++
	} else {
		e.Completed++
	}
	tokens := bus.IDTokens(s.Identity)
	delete(l.outstanding, tokens)
	delete(l.deaths, death{kindRollout, tokens})
	return nil
}

func (l *ledger) noteFeedback(_ context.Context, m *bus.Message) error {
	s, e, err := l.paid(m, RoleRank)
	if err != nil {
		return err
	}
	e.Feedback[s.Kind]++
	delete(l.deaths, death{"rank-" + s.Kind, bus.IDTokens(s.Identity)})
	return nil
}

func (l *ledger) noteVerdict(_ context.Context, m *bus.Message) error {
	s, e, err := l.paid(m, RoleJudge)
	if err != nil {
		return err
	}
	e.Verdicts[s.Kind]++
	delete(l.deaths, death{"judge-" + s.Kind, bus.IDTokens(s.Identity)})
	return nil
}

// paid reads a result's subject, and adds its usage to its entry's, for a role: the trajectory's purpose unless there is
// another.
func (l *ledger) paid(m *bus.Message, role string) (bus.Subject, *Entry, error) {
	s, err := m.Parse()
	if err != nil {
		return s, nil, err
	}
	e, u := l.entry(groupOf(s.Identity)), Usage{
		Calls: number(m.Get(bus.HeaderCalls)), PromptTokens: number(m.Get(bus.HeaderPromptTokens)),
		CompletionTokens: number(m.Get(bus.HeaderCompletionTokens)), CostNano: number(m.Get(bus.HeaderCost)),
	}
	l.usage.Add(u)
	sum := e.Spent[cmp.Or(role, e.Purpose)]
	sum.Add(u)
	e.Spent[cmp.Or(role, e.Purpose)] = sum
	return s, e, nil
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // absent counts nothing
	return n
}

// close draws the balance.
func (l *ledger) close() Ledger {
	for _, g := range l.outstanding {
		l.entry(g).InFlight++
	}
	for d, g := range l.deaths {
		if _, replayed := l.outstanding[d.identity]; d.kind == kindRollout && replayed {
			continue
		}
		if d.kind == kindRollout {
			l.entry(g).Dead++
		} else {
			l.entry(g).Mute[d.kind]++
		}
	}
	out := Ledger{Run: l.run, Usage: l.usage, Entries: []Entry{}, Balanced: true}
	for g, e := range l.entries {
		for _, n := range l.expected[g] {
			e.Expected += n
		}
		l.check(g, e)
		out.Balanced = out.Balanced && len(e.Wrong) == 0
		out.Entries = append(out.Entries, *e)
	}
	slices.SortFunc(out.Entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Generation, b.Generation), -cmp.Compare(a.Purpose, b.Purpose), compareTargets(a.Target, b.Target))
	})
	return out
}

// compareTargets puts own first and students in the order of their names.
func compareTargets(a, b string) int {
	rank := func(s string) int {
		if s == "own" {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}
