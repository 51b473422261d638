package history_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// world publishes what roles would.
type world struct {
	t    *testing.T
	conn *bus.Conn
}

func newWorld(t *testing.T) world { return world{t, devstack.TestBus(t)} }

func (w world) publish(subject string, ev *pb.Event) {
	w.t.Helper()
	if _, err := w.conn.Publish(w.t.Context(), subject, ev); err != nil {
		w.t.Fatal(err)
	}
}

const run = "r"

func identity(purpose pb.Purpose, question int) *pb.Identity {
	generation := int32(1)
	if purpose == pb.Purpose_PURPOSE_EVAL {
		generation = 0
	}
	return &pb.Identity{Run: run, Generation: generation, Target: "own", Purpose: purpose, Question: fmt.Sprintf("pool-%d", question)}
}

func (w world) log(id string, generation int32, line *pb.RunLog) {
	w.t.Helper()
	w.publish(bus.RunSubject(run, line.GetWhat()), &pb.Event{Id: id, Run: run, Generation: generation, Body: &pb.Event_RunLog{RunLog: line}})
}

func (w world) trajectory(id *pb.Identity, class pb.FailureClass) {
	w.t.Helper()
	t := &pb.Trajectory{
		Identity: id, Outcome: pb.Outcome_OUTCOME_COMPLETED, Policy: &pb.Policy{Name: "starter-1"}, Question: "who?",
		Usage: &pb.Usage{Calls: 2, PromptTokens: 10, CompletionTokens: 3, CostNano: 7},
		Steps: []*pb.Step{{Kind: pb.StepKind_STEP_KIND_ANSWER, Candidates: []*pb.Candidate{{Text: "a"}, {Text: "b", ParseError: "?"}}}},
	}
	if class != 0 {
		t.Outcome, t.Failure = pb.Outcome_OUTCOME_FAILED, class
	}
	w.publish(bus.TrajectorySubject(id), w.event(id, &pb.Event{Body: &pb.Event_Trajectory{Trajectory: t}}))
}

func (w world) event(id *pb.Identity, ev *pb.Event) *pb.Event {
	ev.Run, ev.Generation = id.GetRun(), id.GetGeneration()
	return ev
}

func (w world) feedback(id *pb.Identity, ranker string) {
	w.t.Helper()
	f := &pb.Feedback{
		Identity: id, Ranker: ranker, Outcome: pb.Outcome_OUTCOME_COMPLETED, Usage: &pb.Usage{Calls: 3}, Steps: []*pb.StepRanking{{Ranking: []int32{1, 0}, Explanation: "b is true"}},
	}
	w.publish(bus.FeedbackSubject(ranker, id), w.event(id, &pb.Event{Body: &pb.Event_Feedback{Feedback: f}}))
}

func (w world) verdict(id *pb.Identity) {
	w.t.Helper()
	v := &pb.Verdict{Identity: id, Judge: "llm", Outcome: pb.Outcome_OUTCOME_COMPLETED}
	w.publish(bus.VerdictSubject("llm", id), w.event(id, &pb.Event{Body: &pb.Event_Verdict{Verdict: v}}))
}

func (w world) shard(id string, questions ...int) {
	w.t.Helper()
	shard := &pb.Shard{Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Samples: 1}
	for _, n := range questions {
		shard.Questions = append(shard.Questions, &pb.Question{Token: fmt.Sprintf("pool-%d", n)})
	}
	task := &pb.Task{Id: id, Kind: "rollout", Work: &pb.Task_Shard{Shard: shard}}
	if err := w.conn.PublishTask(w.t.Context(), run, 1, task); err != nil {
		w.t.Fatal(err)
	}
}

func (w world) dead(kind string, id *pb.Identity) {
	w.t.Helper()
	letter := &pb.DeadLetter{Kind: kind, Error: "gone", Identities: []*pb.Identity{id}}
	w.publish(bus.DeadSubject(kind, run), w.event(id, &pb.Event{Id: kind + bus.IDTokens(id), Body: &pb.Event_DeadLetter{DeadLetter: letter}}))
}

func (w world) ledger() history.Ledger {
	w.t.Helper()
	l, err := history.ReadLedger(w.t.Context(), w.conn, run)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

const grow, eval = pb.Purpose_PURPOSE_GROW, pb.Purpose_PURPOSE_EVAL

func TestLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if l := w.ledger(); len(l.Entries) != 0 || !l.Balanced {
		t.Errorf("an unknown run: %+v", l)
	}

	// Six expected: one completed, one failed, one dead, two in flight, one not published yet.
	w.log("enter-grow", 1, &pb.RunLog{What: "entered", Phase: pb.Phase_PHASE_GROW, Target: "own", Expected: 6})
	w.trajectory(identity(grow, 0), 0)
	w.trajectory(identity(grow, 1), pb.FailureClass_FAILURE_CLASS_UNPARSABLE)
	w.dead("rollout", identity(grow, 2))
	w.dead("rollout", identity(grow, 0)) // it has its trajectory: not dead
	w.shard("s1", 0, 3, 4)               // of which one is finished
	w.feedback(identity(grow, 0), "llm")
	l := w.ledger()
	e := l.Entries[0]
	got := []any{e.Expected, e.Completed, e.Failed["unparsable"], e.Dead, e.InFlight, e.Unpublished, e.Feedback["llm"], e.Left, l.Balanced}
	want := []any{int64(6), int64(1), int64(1), int64(1), int64(2), int64(1), int64(1), false, true}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if l.Usage.Calls != 7 || l.Usage.PromptTokens != 20 || l.Usage.CostNano != 14 {
		t.Errorf("usage %+v", l.Usage)
	}
	if e.Spent["grow"].CostNano != 14 || e.Spent["rank"].Calls != 3 || e.Candidates["answer"] != (bus.Candidates{Drawn: 4, Unparsable: 2}) {
		t.Errorf("spent %+v, candidates %+v", e.Spent, e.Candidates)
	}

	// Left too early: three are missing.
	w.log("leave-grow", 1, &pb.RunLog{What: "left", Phase: pb.Phase_PHASE_GROW})
	if l := w.ledger(); l.Balanced || !strings.Contains(l.Entries[0].Wrong[0], "3 of 6 trajectories are missing") {
		t.Errorf("want it not to add up: %+v", l)
	}
	for n := 3; n < 6; n++ {
		w.trajectory(identity(grow, n), 0)
	}
	if l := w.ledger(); !l.Balanced || l.Entries[0].InFlight != 0 {
		t.Errorf("want it to add up: %+v", l)
	}

	// Four completed need four feedback; one is missing, then its loss is on record.
	w.log("enter-rank", 1, &pb.RunLog{What: "entered", Phase: pb.Phase_PHASE_RANK, Target: "own", Expected: 4})
	w.log("leave-rank", 1, &pb.RunLog{What: "left", Phase: pb.Phase_PHASE_RANK})
	w.feedback(identity(grow, 3), "llm")
	w.feedback(identity(grow, 4), "llm")
	w.feedback(identity(grow, 4), "human") // nobody waited for it, and it stands for none of the missing
	if l := w.ledger(); l.Balanced || !strings.Contains(l.Entries[0].Wrong[0], "1 of 4 feedback are missing") {
		t.Errorf("want it not to add up: %+v", l)
	}
	w.dead("rank-llm", identity(grow, 5))
	if l := w.ledger(); !l.Balanced || l.Entries[0].Mute["rank-llm"] != 1 {
		t.Errorf("want it to add up: %+v", l)
	}
}

func TestLedgerOfEvaluation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log("enter-1", 0, &pb.RunLog{What: "entered", Phase: pb.Phase_PHASE_BASELINE, Target: "own", Expected: 1})
	w.trajectory(identity(eval, 0), pb.FailureClass_FAILURE_CLASS_DEADLINE)
	w.log("leave-1", 0, &pb.RunLog{What: "left", Phase: pb.Phase_PHASE_BASELINE})
	if l := w.ledger(); l.Balanced || !strings.Contains(l.Entries[0].Wrong[0], "1 of 1 verdicts are missing") {
		t.Errorf("want it not to add up: %+v", l)
	}
	w.verdict(identity(eval, 0))
	if l := w.ledger(); !l.Balanced {
		t.Errorf("want it to add up: %+v", l)
	}
	w.trajectory(identity(eval, 1), 0)
	w.verdict(identity(eval, 1))
	if l := w.ledger(); l.Balanced || !strings.Contains(l.Entries[0].Wrong[0], "only 1 were expected") {
		t.Errorf("want too many to be noticed: %+v", l)
	}
	// Another look expects more.
	w.log("enter-2", 0, &pb.RunLog{What: "entered", Phase: pb.Phase_PHASE_BASELINE, Target: "own", Expected: 1})
	if l := w.ledger(); !l.Balanced || l.Entries[0].Expected != 2 || l.Entries[0].Left {
		t.Errorf("want both looks to count: %+v", l)
	}
}

// results publishes generation 1 of a run.
func (w world) results() {
	w.t.Helper()
	policy := &pb.Policy{Name: "own-cd34"}
	for what, ev := range map[string]*pb.Event{
		"mixture":    {Body: &pb.Event_Mixture{Mixture: &pb.Mixture{Id: "aaaabbbbccccdddd", Examples: 10}}},
		"checkpoint": {Body: &pb.Event_Checkpoint{Checkpoint: &pb.Checkpoint{Id: "1111222233334444", Target: "own"}}},
		"deployment": {Body: &pb.Event_Deployment{Deployment: &pb.Deployment{Target: "own", Checkpoint: "1111222233334444", Policy: policy}}},
	} {
		ev.Run, ev.Generation = run, 1
		w.publish(bus.TrainingSubject(run, 1, "own", what), ev)
	}
	for look, ruling := range map[int32]pb.Ruling{1: pb.Ruling_RULING_CONTINUE, 2: pb.Ruling_RULING_PROMOTE} {
		report := &pb.Report{Target: "own", Look: look, Policy: policy, Answer: &pb.Score{Mean: .5}}
		decision := &pb.Decision{Target: "own", Look: look, Ruling: ruling}
		w.publish(bus.EvalSubject(run, 1, "own", fmt.Sprintf("report-%d", look)), &pb.Event{Run: run, Generation: 1, Body: &pb.Event_Report{Report: report}})
		w.publish(bus.EvalSubject(run, 1, "own", fmt.Sprintf("decision-%d", look)), &pb.Event{Run: run, Generation: 1, Body: &pb.Event_Decision{Decision: decision}})
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.results()
	r, err := history.ReadResults(t.Context(), w.conn, run)
	if err != nil {
		t.Fatal(err)
	}
	g := r.At(1)
	if g.Mixture.GetExamples() != 10 || len(g.Checkpoints) != 1 || len(g.Reports) != 2 || g.Report("own").GetLook() != 2 ||
		g.Decision().GetRuling() != pb.Ruling_RULING_PROMOTE || len(r.Targets()) != 1 {
		t.Errorf("got %+v", g)
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `"id":"aaaabbbbccccdddd"`) {
		t.Errorf("JSON %s, %v", text, err)
	}
}

func TestLineage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.results()
	for i, endpoint := range []string{"", "", "http://other/v1"} { // of what was said twice the first stands
		w.log(fmt.Sprint("probed", i), 0, &pb.RunLog{What: "probed", Capabilities: &pb.Capabilities{Endpoint: endpoint, Context: int64(i + 1)}})
	}
	w.trajectory(identity(grow, 0), 0)
	for _, model := range []string{"1111222233334444", "11112222", "own-cd34", "r/1", "r/1/own", "r/gen-1"} {
		l, err := history.FindLineage(t.Context(), w.conn, model)
		if err != nil {
			t.Errorf("%s: %v", model, err)
			continue
		}
		if !l.Promoted || l.Checkpoint.GetId() != "1111222233334444" || l.Mixture == nil || l.Report.GetLook() != 2 || l.Grower.GetName() != "starter-1" || l.Capabilities.GetContext() != 1 {
			t.Errorf("%s: got %+v", model, l)
		}
	}
	for _, model := range []string{"nobody", "r/7", "other/1", "", "1111"} {
		if _, err := history.FindLineage(t.Context(), w.conn, model); !history.IsNotFound(err) {
			t.Errorf("%q: want not found, got %v", model, err)
		}
	}
}

func TestExample(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := identity(grow, 0)
	w.trajectory(id, 0)
	w.feedback(id, "perplexity")
	w.feedback(id, "llm")
	e, err := history.FindExample(t.Context(), w.conn, bus.IDTokens(id)+"#0", "llm")
	if err != nil {
		t.Fatal(err)
	}
	if e.Ranker != "llm" || e.Target != 1 || e.Ranking.GetExplanation() != "b is true" {
		t.Errorf("got %+v", e)
	}
	if _, err := history.FindExample(t.Context(), w.conn, bus.IDTokens(id)+"#9", "llm"); !history.IsNotFound(err) {
		t.Errorf("want not found, got %v", err)
	}
	if _, err := history.FindExample(t.Context(), w.conn, "nonsense", ""); err == nil {
		t.Error("want an error")
	}
}

func TestStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, going := identity(grow, 0), identity(grow, 1)
	w.trajectory(id, 0)
	w.feedback(id, "llm")
	journal, _, err := w.conn.OpenJournal(t.Context(), going)
	if err != nil {
		t.Fatal(err)
	}
	if err := journal.Append(t.Context(), &pb.Step{Kind: pb.StepKind_STEP_KIND_DECISION}); err != nil {
		t.Fatal(err)
	}

	all, err := history.FindTrajectories(t.Context(), w.conn, history.Query{Run: run, Generation: -1, Sample: -1})
	if err != nil || len(all) != 2 || !proto.Equal(all[0], id) {
		t.Errorf("found %v, %v", all, err)
	}
	one, err := history.FindTrajectories(t.Context(), w.conn, history.Query{Run: run, Generation: 1, Purpose: "grow", Question: "pool-1", Sample: 0})
	if err != nil || len(one) != 1 || !proto.Equal(one[0], going) {
		t.Errorf("found %v, %v", one, err)
	}
	for _, c := range []struct {
		id       *pb.Identity
		running  bool
		feedback int
	}{{id, false, 1}, {going, true, 0}} {
		s, err := history.ReadStory(t.Context(), w.conn, c.id)
		if err != nil || s.Running != c.running || len(s.Feedback) != c.feedback || len(s.Trajectory.GetSteps()) != 1 {
			t.Errorf("%v: got %+v, %v", c.id, s, err)
		}
	}
	if _, err := history.ReadStory(t.Context(), w.conn, identity(grow, 9)); !history.IsNotFound(err) {
		t.Errorf("want not found, got %v", err)
	}
}
