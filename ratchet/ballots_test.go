package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// filledIn reads a sheet, fills it in row by row, and writes it beside.
func filledIn(t *testing.T, file string, fill func(row map[string]string)) string {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(read(t, file))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = cells[i]
		}
		fill(row)
		for i, name := range all[0] {
			cells[i] = row[name]
		}
	}
	var b bytes.Buffer
	if err := csv.NewWriter(&b).WriteAll(all); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "filled.csv")
	if err := os.WriteFile(out, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// byCandidate ranks the last candidate first, in trajectories of a sample.
func byCandidate(sample string) func(map[string]string) {
	ranks := map[string]string{"0": "3", "1": "2", "2": "1"}
	return func(row map[string]string) {
		if strings.HasSuffix(row["identity"], "."+sample) {
			row["rank"] = ranks[row["candidate"]]
			row["why"] = "=candidate " + row["candidate"]
		}
	}
}

func (i installation) feedback(ranker string, id *pb.Identity) *pb.Feedback {
	i.t.Helper()
	m, err := i.conn.Last(i.t.Context(), bus.Feedback, bus.FeedbackSubject(ranker, id))
	if err != nil {
		i.t.Fatal(err)
	}
	ev, err := m.Event(i.t.Context())
	if err != nil {
		i.t.Fatal(err)
	}
	return ev.GetFeedback()
}

// running is an installation with a run that grows, and two trajectories of it.
func running(t *testing.T) (i installation, dir string, ids []*pb.Identity) {
	t.Helper()
	i, dir = newInstallation(t), t.TempDir()
	i.ratchet("init", dir).wants(t, exitOK, "run.yaml")
	i.submit(filepath.Join(dir, "run.yaml"), "--name", "first").wants(t, exitOK, "first")
	const grow = pb.Purpose_PURPOSE_GROW
	return i, dir, []*pb.Identity{i.played("first", grow, "pool-7", 0), i.played("first", grow, "pool-7", 1)}
}

// TestRankByHand: a sheet goes out, comes back filled in, and is feedback, once and for ever; what was left out comes later.
func TestRankByHand(t *testing.T) {
	t.Parallel()
	i, dir, ids := running(t)
	file := filepath.Join(dir, "r.csv")
	i.ratchet("judge", "export", "frist", "--csv", file).wants(t, exitNotFound, "frist")
	i.ratchet("judge", "export", "first", "--csv", file).wants(t, exitOK, "2 trajectories  12 rows  seed 1")
	i.ratchet("judge", "export", "first", "--csv", file).wants(t, exitRefused, "is there already")
	for _, line := range strings.Split(read(t, file), "\n") {
		if strings.HasPrefix(line, "=") || strings.Contains(line, ",=") || strings.Contains(line, `"=What`) {
			t.Errorf("a formula: %s", line)
		}
	}

	one := filledIn(t, file, byCandidate("0"))
	i.ratchet("judge", "import", "first", one, "--dry-run").wants(t, exitOK, "would publish 1 feedback of human; 0 are there already, 1 trajectories have no rank")
	i.ratchet("judge", "import", "first", one).wants(t, exitOK, "published 1 feedback of human; 0 were there already, 1 trajectories have no rank")
	i.ratchet("judge", "import", "first", one).wants(t, exitOK, "published 0 feedback of human; 1 were there already")
	checkByHand(t, i.feedback("human", ids[0]))

	i.ratchet("judge", "export", "first", "--csv", filepath.Join(dir, "left.csv")).wants(t, exitOK, "1 trajectories  6 rows")
	i.ratchet("judge", "export", "first", "--csv", filepath.Join(dir, "few.csv"), "--sample", "1", "--ranker", "anna", "--seed", "5").wants(t, exitOK, "1 trajectories  6 rows  seed 5")
	both := filledIn(t, file, func(row map[string]string) { byCandidate("0")(row); byCandidate("1")(row) })
	i.ratchet("judge", "import", "first", both).wants(t, exitOK, "published 1 feedback of human; 1 were there already, 0 trajectories have no rank")
	otherwise := filledIn(t, file, func(row map[string]string) { row["rank"] = fmt.Sprint(int(row["candidate"][0]-'0') + 1) })
	i.ratchet("judge", "import", "first", otherwise).wants(t, exitRefused, "first.1.own.grow.pool-7.0 has other feedback of human already")
	i.ratchet("judge", "import", "first", otherwise, "--ranker", "anna").wants(t, exitOK, "published 2 feedback of anna")
	i.ratchet("judge", "import", "first", otherwise, "--ranker", "llm").wants(t, exitUsage, "no name for people")
	i.ratchet("report", "first").wants(t, exitOK, "rankers anna and human: Kendall's tau -0.33, the same best output in 0 %, over 4 steps")
	i.ratchet("judge", "export", "first", "--csv", filepath.Join(dir, "none.csv")).wants(t, exitNotFound, "nothing to fill in")
}

// checkByHand: the order of ranks, the recorded order of the sheet, the reason; a step with one output; and the empty output last.
func checkByHand(t *testing.T, f *pb.Feedback) {
	t.Helper()
	decision, answer, check := f.GetSteps()[stepDecision], f.GetSteps()[stepAnswer], f.GetSteps()[stepAnswer+1]
	if f.GetRanker() != "human" || !slices.Equal(decision.GetRanking(), []int32{2, 1, 0}) || decision.GetExplanation() != "=candidate 2" || decision.GetRankedBy() != pb.RankedBy_RANKED_BY_RANKER {
		t.Errorf("decision %v", decision)
	}
	if slots := slices.Sorted(slices.Values(decision.GetSlots())); !slices.Equal(slots, []int32{0, 1, 2}) {
		t.Errorf("slots %v, want the order of the sheet", decision.GetSlots())
	}
	if !slices.Equal(answer.GetRanking(), []int32{1, 0, 2}) || !strings.Contains(answer.GetExplanation(), "overruled: candidate 2") {
		t.Errorf("answer %v, want the one without thoughts last", answer)
	}
	if check.GetRankedBy() != pb.RankedBy_RANKED_BY_SINGLE || !slices.Equal(check.GetRanking(), []int32{0}) || len(f.GetSteps()) != 4 {
		t.Errorf("check %v of %d steps, want nothing to rank", check, len(f.GetSteps()))
	}
}

// TestSheetInOrder: the rows stand in the recorded order.
func TestSheetInOrder(t *testing.T) {
	t.Parallel()
	i, dir, ids := running(t)
	file := filepath.Join(dir, "r.csv")
	i.ratchet("judge", "export", "first", "--csv", file, "--seed", "3").wants(t, exitOK, "seed 3")
	shown := map[string][]string{}
	filled := filledIn(t, file, func(row map[string]string) {
		byCandidate("0")(row)
		shown[row["identity"]+"#"+row["step"]] = append(shown[row["identity"]+"#"+row["step"]], row["candidate"])
	})
	i.ratchet("judge", "import", "first", filled).wants(t, exitOK, "published 1")
	for step := range int32(2) {
		want := fmt.Sprint(shown[fmt.Sprintf("%s#%d", bus.IDTokens(ids[0]), step)])
		if got := fmt.Sprint(i.feedback("human", ids[0]).GetSteps()[step].GetSlots()); got != want {
			t.Errorf("step %d: slots %s, shown %s", step, got, want)
		}
	}
}

// TestNothingToRank: a run that waits for people waits for a trajectory without any choice too; its row is filled in already.
func TestNothingToRank(t *testing.T) {
	t.Parallel()
	i, dir, _ := running(t)
	id := i.playedBy(answersAtOnce{alike: true}, "first", pb.Purpose_PURPOSE_GROW, "pool-8", 0)
	i.ratchet("judge", "export", "first", "--csv", filepath.Join(dir, "few.csv"), "--sample", "3").wants(t, exitOK, "2 trajectories  12 rows")
	file := filepath.Join(dir, "all.csv")
	i.ratchet("judge", "export", "first", "--csv", file).wants(t, exitOK, "3 trajectories  13 rows")
	i.ratchet("judge", "import", "first", file).wants(t, exitOK, "published 1 feedback of human; 0 were there already, 2 trajectories have no rank")
	for _, s := range i.feedback("human", id).GetSteps() {
		if s.GetRankedBy() != pb.RankedBy_RANKED_BY_SINGLE || !slices.Equal(s.GetRanking(), []int32{0}) {
			t.Errorf("%v, want nothing to rank", s)
		}
	}
}

// TestWrongSheets: nothing is published of a sheet in which anything is wrong, and its line is named.
func TestWrongSheets(t *testing.T) {
	t.Parallel()
	i, dir, _ := running(t)
	file := filepath.Join(dir, "r.csv")
	i.ratchet("judge", "export", "first", "--csv", file).wants(t, exitOK, "12 rows")
	line := 0
	at := func(want int, change func(map[string]string)) func(map[string]string) {
		return func(row map[string]string) {
			byCandidate("0")(row)
			byCandidate("1")(row)
			if line++; line == want {
				change(row)
			}
		}
	}
	set := func(column, text string) func(map[string]string) {
		return func(row map[string]string) { row[column] = text }
	}
	for name, c := range map[string]struct {
		change func(map[string]string)
		want   string
	}{
		"no number":      {set("rank", "best"), `rank "best"` + "\n  expected a whole number from 1"},
		"rank 0":         {set("rank", "0"), `rank "0"`},
		"too high":       {set("rank", "4"), `rank "4"` + "\n  expected 1 to 3, each once"},
		"one is missing": {set("rank", ""), `rank ""` + "\n  expected 1 to 3, each once; or no rank at all in first.1.own.grow.pool-7."},
		"another run's":  {set("identity", "other.1.own.grow.pool-7.0"), `identity "other.1.own.grow.pool-7.0"`},
		"not grown":      {set("identity", "first.1.own.eval.pool-7.0"), "expected first.<generation>.<target>.grow."},
		"nobody's":       {set("identity", "first.1.own.grow.pool-8.0"), "no completed trajectory first.1.own.grow.pool-8.0"},
		"another step":   {set("step", "9"), "step 9\n  expected a step of a trajectory of 4 steps"},
		"no candidate":   {set("candidate", "7"), "candidate 7\n  expected each of [0 1 2] once"},
		"sorted in part": {set("output", "other"), "the output is not that of candidate"},
		"another seed":   {set("seed", "2"), `seed "2"`},
		"long reason":    {set("why", strings.Repeat("x", 5000)), "why has 5000 bytes"},
		"a row is gone": {func(row map[string]string) {
			for name := range row {
				row[name] = ""
			}
		}, "has 2 rows"},
		"no step at all": {set("step", ""), `step ""`},
		"twice the first": {func(row map[string]string) {
			row["rank"] = map[string]string{"1": "2", "2": "3", "3": "1"}[row["rank"]]
		}, "stands twice"},
	} {
		line = 0
		o := i.ratchet("judge", "import", "first", filledIn(t, file, at(3, c.change)))
		if o.code != exitUsage || !strings.Contains(o.err, "filled.csv:") || !strings.Contains(o.err, c.want) {
			t.Errorf("%s: exit %d, %s; want %q", name, o.code, o.err, c.want)
		}
	}
	for range i.conn.Read(t.Context(), bus.Feedback) {
		t.Fatal("published something of a sheet that is wrong")
	}
	i.ratchet("judge", "import", "nobody", file).wants(t, exitUsage, `expected nobody.<generation>`)
}

// TestAnswersByHand: answers go out with their references and without verdicts, come back labelled, and stand beside the
// judge's.
func TestAnswersByHand(t *testing.T) {
	t.Parallel()
	i, dir, _ := running(t)
	for n := range int32(3) {
		id := i.played("first", pb.Purpose_PURPOSE_EVAL, "heldout-q00"+fmt.Sprint(n), 0)
		v := &pb.Verdict{Identity: id, Judge: "llm", Outcome: pb.Outcome_OUTCOME_COMPLETED, AnswerRight: n > 0, F1: 0.5}
		i.publish(bus.VerdictSubject("llm", id), &pb.Event{Run: "first", Generation: 1, Body: &pb.Event_Verdict{Verdict: v}})
	}
	file := filepath.Join(dir, "a.csv")
	i.ratchet("judge", "export", "first", "--csv", file, "--sheet", "answers").wants(t, exitOK, "3 trajectories  3 rows")
	filled := filledIn(t, file, func(row map[string]string) {
		if row["answer"] != "It is Paris." || row["reference"] == "" || row["question"] != "'=What is the capital of France?" {
			t.Errorf("row %v", row)
		}
		row["label"] = fmt.Sprint(strings.Contains(row["identity"], "q001"))
	})
	i.ratchet("judge", "calibrate", "first", "--labels", filled).wants(t, exitOK, "people       1          1           0           1           67 %")
	i.ratchet("judge", "calibrate", "first", "--labels", filled, "-o", "json").wants(t, exitOK, `"labels": 3`)
	i.ratchet("judge", "calibrate", "first", "--generation", "7").wants(t, exitNotFound, "no verdict in [first]")
	i.ratchet("judge", "calibrate", "first", "--labels", file).wants(t, exitUsage, "holds no label")
	i.ratchet("judge", "calibrate", "frist").wants(t, exitNotFound, "frist")
}

// TestKeyOfPeople: the key of the role human publishes its feedback, and the operator's does not.
func TestKeyOfPeople(t *testing.T) {
	t.Parallel()
	open, dir, _ := running(t)
	file := filepath.Join(dir, "r.csv")
	open.ratchet("judge", "export", "first", "--csv", file).wants(t, exitOK, "12 rows")
	filled := filledIn(t, file, byCandidate("0"))

	keys := filepath.Join(dir, "auth")
	ratchet(t.Context(), "", "auth", "init", keys).wants(t, exitOK, "human.nk")
	server, err := devstack.StartGuarded(t.TempDir(), "127.0.0.1:0", filepath.Join(keys, bus.UsersFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	i := guarded(t, server.URL(), keys)
	i.ratchet("init", filepath.Join(dir, "again")).wants(t, exitOK, "run.yaml")
	i.submit(filepath.Join(dir, "again", "run.yaml"), "--name", "first").wants(t, exitOK, "first")
	worker := i
	worker.conn = i.as(bus.RoleRollout)
	id := worker.played("first", pb.Purpose_PURPOSE_GROW, "pool-7", 0)

	i.ratchet("judge", "import", "first", filled, "--set", "bus.nkey_file="+bus.SeedFile(keys, bus.RoleOperator)).wants(t, exitRefused, "not permitted")
	i.ratchet("judge", "import", "first", filled).wants(t, exitOK, "published 1 feedback of human")
	i.conn = i.as(bus.RoleOperator)
	checkByHand(t, i.feedback("human", id))
}
