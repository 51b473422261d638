package view

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	"github.com/ratchet-rl/ratchet/internal/sizing"
	"github.com/ratchet-rl/ratchet/internal/telemetry"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a view with testdata/<name>.txt.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// hostile is what a model, a page or an operator's file may say.
const hostile = "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe\u202c zero\u200bwidth \xff\r\nnext\tline \u0085 \U000e0041"

// harmless fails if a text holds anything but line breaks and what is seen; our own colours are off.
func harmless(t *testing.T, text string) {
	t.Helper()
	for i, r := range text {
		if r != '\n' && (r < 0x20 || r == 0x7f || telemetry.IsHidden(r)) {
			t.Fatalf("%q at %d in %q", r, i, text[max(0, i-20):i])
		}
	}
}

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func score(mean, std float64) *pb.Score {
	return &pb.Score{Mean: mean, Std: std, ByRepetition: []float64{mean - std, mean, mean + std}}
}

func fullResults() history.Results {
	own := &pb.Policy{Name: "pocket-ab12", Endpoint: "http://127.0.0.1:7421/v1", Model: "pocket"}
	report := func(target string, draft, final float64) *pb.Report {
		return &pb.Report{
			Target: target, Policy: own, Set: "heldout", Judge: "llm", Look: 1, Repetitions: 3, Questions: 125, Draft: score(draft, .02),
			Answer: score(final, .019), ExactMatch: score(final, .018), F1: score(final, .017), Contains: score(final, .02),
			Failures: map[string]int64{"unparsable": 3, "step_budget": 1}, Pearson: proto.Float64(.97), Spearman: proto.Float64(.96),
		}
	}
	return history.Results{Run: "demo-7f3a", Generations: []history.Generation{
		{
			Number: 0, Reports: []*pb.Report{report("own", .301, .312)},
			Decisions: []*pb.Decision{{Target: "own", Ruling: pb.Ruling_RULING_BASELINE, Reason: "nothing to compare with", Look: 1, Looks: 1}},
		},
		{
			Number: 1,
			Mixture: &pb.Mixture{
				Id: "9a02c1d4e5f60718", Examples: 3560, Trajectories: 396, ExamplesByKind: map[string]int64{"decision": 1200, "answer": 396},
				Changed: 1353, Dropped: map[string]int64{"failed": 4}, Strategy: "rest-react", Ranker: "llm",
				ManifestUri: "file:///d/mixtures/demo-7f3a/1/manifest.json",
			},
			Checkpoints: []*pb.Checkpoint{
				{Id: "1111222233334444", Target: "own", Base: "own", ElapsedMs: 6000, Job: "ft-1", Uri: "file:///d/c1"},
				{Id: "5555666677778888", Target: "small", Base: "small", ElapsedMs: 4000},
			},
			Deployments: []*pb.Deployment{{Target: "own", Checkpoint: "1111222233334444", Policy: &pb.Policy{Name: "own-cd34", Model: "own-1111", Endpoint: "http://127.0.0.1:7421/v1"}}},
			Reports:     []*pb.Report{report("own", .432, .44), report("small", .395, .401)},
			Decisions: []*pb.Decision{{
				Target: "own", Ruling: pb.Ruling_RULING_PROMOTE, Reason: "better", Rule: "bootstrap", Challenger: 1, Effect: .128, Low: .071,
				High: .184, Level: .05, Alpha: .05, Look: 1, Looks: 1, Questions: 125, Repetitions: 3, Gained: 14, Lost: 6,
			}},
		},
		{
			Number: 2, Reports: []*pb.Report{report("own", .45, .461)},
			Decisions: []*pb.Decision{{Target: "own", Ruling: pb.Ruling_RULING_UNDECIDED, Reason: "the interval holds 0", Rule: "bootstrap", Incumbent: 1, Effect: .021, Low: -.01, High: .053, Level: .05, Alpha: .05, Look: 1, Looks: 1}},
		},
	}}
}

func hostileResults() history.Results {
	report := &pb.Report{Target: hostile, Policy: &pb.Policy{Name: hostile}, Set: hostile, Judge: hostile, Answer: score(.5, .1), Failures: map[string]int64{hostile: 1}}
	return history.Results{Run: hostile, Generations: []history.Generation{{
		Number: 1, Reports: []*pb.Report{report},
		Mixture:     &pb.Mixture{Id: hostile, Strategy: hostile, Ranker: hostile, ExamplesByKind: map[string]int64{hostile: 1}, Dropped: map[string]int64{hostile: 2}, ManifestUri: hostile},
		Checkpoints: []*pb.Checkpoint{{Id: hostile, Target: hostile, Base: hostile, Job: hostile, Uri: hostile}},
		Deployments: []*pb.Deployment{{Target: hostile, Policy: &pb.Policy{Name: hostile, Endpoint: hostile, Model: hostile}}},
		Decisions:   []*pb.Decision{{Ruling: pb.Ruling_RULING_REJECT, Reason: hostile, Rule: hostile}},
	}}}
}

func finishedState() runstate.State {
	done := func(generation int, phase, target string, expected, completed int64, failed map[string]int64, from, seconds int) runstate.Progress {
		purpose := map[string]string{"baseline": "eval", "evaluate": "eval", "grow": "grow", "rank": "grow"}[phase]
		p := runstate.Progress{
			Generation: generation, Phase: phase, Target: target, Purpose: purpose, Expected: expected, Completed: completed, Failed: failed,
			Started: start.Add(time.Duration(from) * time.Second), Ended: start.Add(time.Duration(from+seconds) * time.Second),
		}
		if purpose == "eval" {
			p.Verdicts = expected
		}
		return p
	}
	return runstate.State{
		Run: "demo-7f3a", Phase: "done", Generation: 1, Incumbent: 1, Finished: true, Started: start, Updated: start.Add(84 * time.Second),
		Reason: "all 1 generations tried; generation 1 is promoted",
		Usage:  runstate.Usage{Calls: 42310, PromptTokens: 9_000_000, CompletionTokens: 100_000},
		Progress: []runstate.Progress{
			done(0, "baseline", "own", 375, 375, nil, 0, 12),
			done(1, "grow", "own", 400, 396, map[string]int64{"unparsable": 3, "step_budget": 1}, 12, 9),
			done(1, "rank", "own", 396, 396, nil, 21, 4),
			done(1, "build", "own", 1, 1, nil, 25, 1),
			done(1, "train", "own", 1, 1, nil, 26, 6), done(1, "train", "small", 1, 1, nil, 26, 7),
			done(1, "deploy", "own", 1, 1, nil, 33, 0), done(1, "deploy", "small", 1, 1, nil, 33, 0),
			done(1, "evaluate", "own", 375, 375, nil, 34, 11), done(1, "evaluate", "small", 375, 375, nil, 34, 14),
		},
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	usage := history.Usage{Calls: 42310, PromptTokens: 9_000_000, CompletionTokens: 100_000}
	golden(t, "report-full", Report(fullResults(), fullJudging(), usage, finishedState(), Paint{}))
	golden(t, "report-zero", Report(history.Results{Run: "new"}, history.Judging{}, history.Usage{}, runstate.State{Run: "new"}, Paint{}))
	golden(t, "finish", Finish(fullResults(), usage, finishedState(), Paint{}))
	harmless(t, Report(hostileResults(), hostileJudging(), history.Usage{}, runstate.State{Run: hostile, Reason: hostile}, Paint{}))
}

func TestMilestones(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	lead := -1
	for _, m := range Milestones(finishedState(), fullResults()) {
		b.WriteString(m.Line(m.Generation != lead, Paint{}) + "\n" + m.Plain("demo-7f3a", start) + "\n")
		lead = m.Generation
	}
	golden(t, "milestones", b.String())
}

// However far a run is, what was printed stays: milestones only grow at their end.
func TestMilestonesOnlyGrow(t *testing.T) {
	t.Parallel()
	whole, results := finishedState(), fullResults()
	before := 0
	phases := []string{"baseline", "grow", "rank", "build", "train", "deploy", "evaluate", "decide"}
	for i := range phases {
		s := whole
		s.Finished, s.Phase, s.Generation = false, phases[i], min(i, 1)
		s.Progress = nil
		for _, p := range whole.Progress {
			if at := indexOf(phases, p.Phase); at <= i {
				if at == i {
					p.Ended = time.Time{}
				}
				s.Progress = append(s.Progress, p)
			}
		}
		got := Milestones(s, results)
		if len(got) < before {
			t.Errorf("%s: %d milestones after %d", phases[i], len(got), before)
		}
		for _, m := range got {
			if m.What == phases[i] {
				t.Errorf("%s is told while it goes on", m.What)
			}
		}
		before = len(got)
	}
	whole.Finished = false
	if got := Milestones(whole, history.Results{}); len(got) > 0 {
		t.Errorf("told without results: %v", got)
	}
}

func indexOf(all []string, s string) int {
	for i := range all {
		if all[i] == s {
			return i
		}
	}
	return -1
}

func runningState() runstate.State {
	s := finishedState()
	s.Finished, s.Phase, s.Reason, s.Generation, s.Entered = false, "grow", "", 2, start.Add(50*time.Second)
	s.Progress = append(s.Progress, runstate.Progress{
		Generation: 2, Phase: "grow", Target: "own", Purpose: "grow", Expected: 400, Completed: 230, Failed: map[string]int64{"unparsable": 2},
		Started: s.Entered,
	})
	return s
}

func TestLive(t *testing.T) {
	t.Parallel()
	pulse := Pulse{CallsPerSecond: 410, ItemsPerSecond: 33.6, Waiting: 42, InFlight: 16}
	now := start.Add(60 * time.Second)
	paused := runningState()
	paused.Paused, paused.Reason = true, "budget of 10 calls is spent"
	lines := Live(runningState(), pulse, now, 100)
	lines = append(lines, Live(runstate.State{Phase: "plan", Entered: start}, Pulse{}, now, 100)...)
	lines = append(lines, Live(paused, pulse, now, 40)...)
	training := runningState()
	training.Phase = "train"
	lines = append(lines, Live(training, Pulse{Jobs: []*pb.Job{
		{Target: "own", State: pb.JobState_JOB_STATE_RUNNING, Done: 340, Total: 1500, Loss: .312}, {Target: "small", State: pb.JobState_JOB_STATE_SUCCEEDED},
	}}, now, 100)[0])
	lines = append(lines, Plain(runningState(), pulse, now), Plain(paused, Pulse{}, now))
	golden(t, "live", strings.Join(lines, "\n")+"\n")
	for _, line := range Live(runningState(), pulse, now, 30) {
		if lipgloss.Width(line) > 30 {
			t.Errorf("wider than the terminal: %q", line)
		}
	}
	harmless(t, strings.Join(Live(runstate.State{Run: hostile, Phase: hostile, Reason: hostile, Paused: true}, pulse, now, 80), "\n"))
}

func TestStatus(t *testing.T) {
	t.Parallel()
	now := start.Add(90 * time.Second)
	stalled := runningState()
	stalled.Run, stalled.Updated = "old-1", start.Add(-time.Hour)
	paused := runningState()
	paused.Run, paused.Paused, paused.Reason = "paused-1", true, "budget of 10 calls is spent"
	all := []runstate.State{finishedState(), runningState(), paused, stalled, {Run: "new", Phase: "plan", Started: now, Updated: now}}
	ByAttention(all, now)
	golden(t, "status", Runs(all, now, false, Paint{})+Run(finishedState(), now, Paint{})+Run(paused, now, Paint{}))
	golden(t, "status-zero", Runs(nil, now, false, Paint{}))
	harmless(t, Runs([]runstate.State{{Run: hostile, Phase: hostile, Reason: hostile}}, now, true, Paint{}))
	harmless(t, Run(runstate.State{Run: hostile, Phase: hostile, Reason: hostile, Progress: []runstate.Progress{{Phase: hostile, Target: hostile, Failed: map[string]int64{hostile: 1}, Feedback: map[string]int64{hostile: 1}}}}, now, Paint{}))
}

func TestLedger(t *testing.T) {
	t.Parallel()
	l := history.Ledger{Run: "demo-7f3a", Balanced: true, Usage: history.Usage{Calls: 42310}, Entries: []history.Entry{
		{Generation: 0, Target: "own", Purpose: "eval", Left: true, Expected: 375, Completed: 370, Failed: map[string]int64{"unparsable": 5}, Verdicts: map[string]int64{"llm": 375}},
		{Generation: 1, Target: "own", Purpose: "grow", Expected: 400, Completed: 230, Dead: 1, InFlight: 16, Unpublished: 153, Feedback: map[string]int64{"llm": 200, "perplexity": 230}, Mute: map[string]int64{"rank-llm": 2}},
	}}
	golden(t, "ledger", Ledger(l, Paint{}))
	l.Balanced = false
	l.Entries[0].Wrong = []string{"3 of 375 trajectories are missing though the phase was left"}
	golden(t, "ledger-wrong", Ledger(l, Paint{}))
	golden(t, "ledger-zero", Ledger(history.Ledger{Run: "new", Balanced: true}, Paint{}))
	harmless(t, Ledger(history.Ledger{Run: hostile, Entries: []history.Entry{{Target: hostile, Failed: map[string]int64{hostile: 1}, Feedback: map[string]int64{hostile: 1}, Mute: map[string]int64{hostile: 1}}}}, Paint{}))
}

func story(text string) history.Story {
	id := &pb.Identity{Run: "demo-7f3a", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-7"}
	return history.Story{
		Trajectory: &pb.Trajectory{
			Identity: id, Policy: &pb.Policy{Name: "pocket-ab12", Endpoint: "http://127.0.0.1:7421/v1"}, Question: text, Outcome: pb.Outcome_OUTCOME_COMPLETED,
			Draft: text, Answer: text, Usage: &pb.Usage{Calls: 9, PromptTokens: 900, CompletionTokens: 120, Searches: 2},
			Steps: []*pb.Step{{
				Index: 0, Kind: pb.StepKind_STEP_KIND_DECISION, Template: "decision@1", SelectedBy: "perplexity", Chosen: 1, ElapsedMs: 412,
				Candidates: []*pb.Candidate{
					{Text: text, Tokens: 12, MeanLogprob: proto.Float64(-.2)},
					{Text: "Terminate(thoughts=\"enough\")", Tokens: 9, MeanLogprob: proto.Float64(-.05)},
					{Text: text, Tokens: 12, MeanLogprob: proto.Float64(-.2)},
					{Text: "nonsense", ParseError: "expected an action: " + text},
				},
			}, {
				Index: 1, Kind: pb.StepKind_STEP_KIND_SUMMARIZATION, Template: "summarization@1", SelectedBy: "perplexity",
				Results:    []*pb.SearchResult{{LinkId: 3, Title: text, Snippet: text, Url: "http://example.org/" + text}},
				Candidates: []*pb.Candidate{{Text: "SelectLink()", Tokens: 3}},
			}},
		},
		Feedback: []*pb.Feedback{{
			Identity: id, Ranker: "llm",
			Steps: []*pb.StepRanking{{Step: 0, Ranking: []int32{0, 1}, Explanation: text, RankedBy: pb.RankedBy_RANKED_BY_RANKER}, {Step: 1, Ranking: []int32{0}, RankedBy: pb.RankedBy_RANKED_BY_FALLBACK}},
		}},
		Verdicts: []*pb.Verdict{{Identity: id, Judge: "llm", AnswerRight: true, F1: .5, AnswerExplanation: text}, {Judge: "other", Outcome: pb.Outcome_OUTCOME_FAILED, Reason: text}},
	}
}

func TestStory(t *testing.T) {
	t.Parallel()
	text := "Where was the writer of the novel Grey River born, and in which of the years between 1900 and 1979 was that?"
	golden(t, "story", Story(story(text), 80, Paint{}))
	golden(t, "story-running", Story(history.Story{Running: true, Trajectory: &pb.Trajectory{Identity: story("").Trajectory.Identity, Steps: story("q").Trajectory.Steps[:1]}}, 80, Paint{}))
	got := Story(story(hostile), 80, Paint{})
	golden(t, "story-hostile", got)
	harmless(t, got)
	for _, wide := range []string{text, hostile, strings.Repeat("x", 500), strings.Repeat("長い ", 90)} {
		for line := range strings.Lines(Story(story(wide), 80, Paint{})) {
			if w := lipgloss.Width(strings.TrimRight(line, "\n")); w > 80 {
				t.Errorf("%d columns: %q", w, line)
			}
		}
	}
}

func TestLineage(t *testing.T) {
	t.Parallel()
	g := fullResults().Generations[1]
	golden(t, "lineage", Lineage(history.Lineage{
		Run: "demo-7f3a", Generation: 1, Target: "own", Promoted: true, Deployment: g.Deployments[0], Decision: g.Decisions[0], Report: g.Reports[0],
		Checkpoint: g.Checkpoints[0], Mixture: g.Mixture, Grower: &pb.Policy{Name: "pocket-ab12"},
	}, Paint{}))
	golden(t, "lineage-zero", Lineage(history.Lineage{Run: "demo-7f3a", Target: "own"}, Paint{}))
	h := hostileResults().Generations[0]
	harmless(t, Lineage(history.Lineage{
		Run: hostile, Target: hostile, Deployment: h.Deployments[0], Decision: h.Decisions[0], Report: h.Reports[0], Checkpoint: h.Checkpoints[0],
		Mixture: h.Mixture, Grower: &pb.Policy{Name: hostile},
	}, Paint{}))
	s := story("q")
	golden(t, "example", Example(history.ExampleLineage{Story: s, Step: s.Trajectory.Steps[0], Ranker: "llm", Ranking: s.Feedback[0].Steps[0]}, 80, Paint{}))
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	letter := func(seq uint64, kind, message string) DeadLetter {
		return DeadLetter{Seq: seq, Run: "demo-7f3a", When: "2026-11-24 12:00:00", Letter: &pb.DeadLetter{Kind: kind, Failure: pb.FailureClass_FAILURE_CLASS_ENDPOINT, Error: message}}
	}
	all := []DeadLetter{letter(1, "train", "exit 1"), letter(2, "rollout", "refused"), letter(3, "rollout", "refused"), letter(4, "rollout", "refused"), letter(5, "rollout", "refused")}
	golden(t, "dead", DeadLetters(all, Paint{}))
	golden(t, "dead-zero", DeadLetters(nil, Paint{}))
	harmless(t, DeadLetters([]DeadLetter{letter(1, hostile, hostile)}, Paint{}))
}

func TestSpec(t *testing.T) {
	t.Parallel()
	run := config.DefaultRun()
	run.Name, run.Policy.Model.Model, run.Policy.Endpoint = "demo-7f3a", "pocket", "http://127.0.0.1:7421/v1"
	run.Targets = []config.Target{{Name: "own", Base: "own"}, {Name: "small", Base: "small"}}
	needs := []sizing.Need{{Stream: "TRAJECTORIES", Messages: 2_000, Each: 12 << 10}, {Stream: "STEPS", Messages: 9_000, Each: 2 << 10}, {Stream: "FEEDBACK"}}
	golden(t, "spec", Spec(run, needs, Paint{}))
	harmless(t, Spec(config.Run{Name: hostile, Rankers: []string{hostile}, Targets: []config.Target{{Name: hostile, Base: hostile}}}, nil, Paint{}))
}
