package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// guarded is a server with the users of an installation, which has a plug-in of each sort.
type guarded struct {
	cfg   config.Config
	roles []bus.Role
}

func newGuarded(t *testing.T) guarded {
	t.Helper()
	g := guarded{cfg: config.Default()}
	g.cfg.Bus = devstack.TestConfig("")
	g.cfg = plugged(g.cfg)
	dir := t.TempDir()
	var err error
	if g.roles, err = bus.WriteUsers(dir, g.cfg); err != nil {
		t.Fatal(err)
	}
	server, err := devstack.StartGuarded(t.TempDir(), "127.0.0.1:0", filepath.Join(dir, bus.UsersFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	g.cfg.Bus.URL, g.cfg.Bus.NKeyFile = server.URL(), filepath.Join(dir, "{role}.nk")

	owner := g.as(t, bus.RoleCoordinator)
	if err := owner.Apply(t.Context(), bus.NewTopology(g.cfg.Bus)); err != nil {
		t.Fatal(err)
	}
	for _, ranker := range []string{"llm", "perplexity", "brief"} {
		if err := owner.AddRanker(t.Context(), ranker); err != nil {
			t.Fatal(err)
		}
	}
	for _, judge := range []string{"llm", "strict"} {
		if err := owner.AddJudge(t.Context(), judge); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// plugged has a plug-in of each sort.
func plugged(cfg config.Config) config.Config {
	cfg.Bus.Kinds, cfg.Bus.Rankers, cfg.Bus.Judges = []string{"shout"}, []string{"brief"}, []string{"strict"}
	return cfg
}

// as connects with a role's credentials.
func (g guarded) as(t *testing.T, role string) *bus.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := bus.Connect(ctx, g.cfg.Bus, bus.Options{Role: role})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// trial is one line of the matrix: a subject to publish to, or to subscribe to, and who may.
type trial struct {
	what    string
	subject string
	data    string
	may     string
	hear    bool
	// unanswered is published without waiting for an answer: there never is one.
	unanswered bool
}

const (
	streamers = "coordinator trainer-bridge evaluator ratchet keeper"
	everybody = streamers + " rollout-worker rank-worker observer human worker shout brief strict"
	workers   = "trainer-bridge evaluator rollout-worker rank-worker human worker shout brief strict"
	next      = `{"batch":1,"no_wait":true}`
)

var trials = []trial{
	{what: "publish a rollout task", subject: "ratchet.v1.task.rollout.r.0.a", may: "coordinator ratchet rollout-worker keeper"},
	{what: "publish a build task", subject: "ratchet.v1.task.build.r.0.a", may: "coordinator ratchet keeper"},
	{what: "publish a plug-in's task", subject: "ratchet.v1.task.shout.r.0.a", may: "coordinator ratchet keeper"},
	{what: "append a step", subject: "ratchet.v1.step.r.0.own.grow.q.0", may: "rollout-worker keeper"},
	{what: "publish a trajectory", subject: "ratchet.v1.trajectory.r.0.own.grow.q.0", may: "rollout-worker keeper"},
	{what: "publish feedback of `llm`", subject: "ratchet.v1.feedback.llm.r.0.own.grow.q.0", may: "rank-worker keeper"},
	{what: "publish feedback of `brief`", subject: "ratchet.v1.feedback.brief.r.0.own.grow.q.0", may: "brief keeper"},
	{what: "publish feedback of `human`", subject: "ratchet.v1.feedback.human.r.0.own.grow.q.0", may: "human keeper"},
	{what: "publish a verdict of `llm`", subject: "ratchet.v1.verdict.llm.r.0.own.eval.q.0", may: "evaluator keeper"},
	{what: "publish a verdict of `strict`", subject: "ratchet.v1.verdict.strict.r.0.own.eval.q.0", may: "strict keeper"},
	{what: "publish a result of `shout`", subject: "ratchet.v1.result.shout.r.0.a", may: "worker shout keeper"},
	{what: "publish a mixture, checkpoint or deployment", subject: "ratchet.v1.training.r.1.own.mixture", may: "trainer-bridge keeper"},
	{what: "publish a report or decision", subject: "ratchet.v1.eval.r.1.own.decision-1", may: "evaluator keeper"},
	{what: "write a run's log", subject: "ratchet.v1.run.r.entered", may: "coordinator keeper"},
	{what: "publish a dead letter of rollout", subject: "ratchet.v1.dead.rollout.r", may: "coordinator rollout-worker keeper"},
	{what: "publish a dead letter of `shout`", subject: "ratchet.v1.dead.shout.r", may: "coordinator worker shout keeper"},
	{what: "ask the coordinator (submit, pause, ...)", subject: "ratchet.v1.api.nothing", unanswered: true, may: "ratchet"},
	{what: "find micro services", subject: "$SRV.PING", unanswered: true, may: "ratchet"},

	{what: "write a run's spec, state or control", subject: "$KV.runs.r.state", may: "coordinator keeper"},
	{what: "**promote**: write `models`, `promoted.<run>`", subject: "$KV.models.promoted.r", may: "evaluator keeper"},
	{what: "write anything else into `models`", subject: "$KV.models.other", may: ""},
	{what: "take a lease", subject: "$KV.leases.coordinator", may: "coordinator"},
	{what: "write a prompt", subject: "$KV.prompts.a", may: ""},
	{what: "read a run's spec", subject: "$JS.API.DIRECT.GET.KV_runs.$KV.runs.r.spec", may: everybody},
	{what: "read a run's state", subject: "$JS.API.DIRECT.GET.KV_runs.$KV.runs.r.state", may: "coordinator trainer-bridge ratchet observer keeper"},
	{what: "read a promotion", subject: "$JS.API.DIRECT.GET.KV_models.$KV.models.promoted.r", may: "coordinator evaluator ratchet observer keeper"},
	{what: "list runs (consumer on the bucket)", subject: "$JS.API.CONSUMER.CREATE.KV_runs.x", may: "coordinator trainer-bridge ratchet keeper"},

	{what: "be handed rollout tasks", subject: "$JS.API.CONSUMER.MSG.NEXT.TASKS.rollout", data: next, may: "rollout-worker"},
	{what: "be handed training tasks", subject: "$JS.API.CONSUMER.MSG.NEXT.TASKS.train", data: next, may: "trainer-bridge"},
	{what: "be handed evaluation tasks", subject: "$JS.API.CONSUMER.MSG.NEXT.TASKS.evaluate", data: next, may: "evaluator"},
	{what: "be handed tasks of `shout`", subject: "$JS.API.CONSUMER.MSG.NEXT.TASKS.shout", data: next, may: "worker shout"},
	{what: "be handed trajectories for `llm` to rank", subject: "$JS.API.CONSUMER.MSG.NEXT.TRAJECTORIES.rank-llm", data: next, may: "coordinator rank-worker"},
	{what: "be handed trajectories for `brief` to rank", subject: "$JS.API.CONSUMER.MSG.NEXT.TRAJECTORIES.rank-brief", data: next, may: "coordinator brief"},
	{what: "be handed trajectories for `llm` to judge", subject: "$JS.API.CONSUMER.MSG.NEXT.TRAJECTORIES.judge-llm", data: next, may: "coordinator evaluator"},
	{what: "be handed trajectories for `strict` to judge", subject: "$JS.API.CONSUMER.MSG.NEXT.TRAJECTORIES.judge-strict", data: next, may: "coordinator strict"},
	{what: "settle a rollout task", subject: "$JS.ACK.TASKS.rollout.1.9.9.1.0", unanswered: true, may: "rollout-worker"},
	{what: "settle a rollout task (later servers' form)", subject: "$JS.ACK._.h.TASKS.rollout.1.9.9.1.0", unanswered: true, may: "rollout-worker"},
	{what: "settle a task of `shout`", subject: "$JS.ACK.TASKS.shout.1.9.9.1.0", unanswered: true, may: "worker shout"},
	{what: "settle a trajectory that `llm` ranks", subject: "$JS.ACK._.h.TRAJECTORIES.rank-llm.1.9.9.1.0", unanswered: true, may: "rank-worker"},

	{what: "look into a journal", subject: "$JS.API.DIRECT.GET.STEPS", data: `{"seq":1}`, may: "coordinator ratchet rollout-worker observer keeper"},
	{what: "look for a trajectory", subject: "$JS.API.DIRECT.GET.TRAJECTORIES.ratchet.v1.trajectory.r.0.own.grow.q.0", may: streamers + " rollout-worker rank-worker human brief observer"},
	{what: "settle a replay for `llm`", subject: "$JS.ACK.TASKS.rank-llm.1.9.9.1.0", unanswered: true, may: "rank-worker"},
	{what: "look for feedback of `llm`", subject: "$JS.API.DIRECT.GET.FEEDBACK.ratchet.v1.feedback.llm.r.0.own.grow.q.0", may: "coordinator trainer-bridge ratchet rank-worker observer keeper"},
	{what: "look for feedback of `human`", subject: "$JS.API.DIRECT.GET.FEEDBACK.ratchet.v1.feedback.human.r.0.own.grow.q.0", may: "coordinator trainer-bridge ratchet human observer keeper"},
	{what: "look for a verdict of `llm`", subject: "$JS.API.DIRECT.GET.VERDICTS.ratchet.v1.verdict.llm.r.0.own.eval.q.0", may: "coordinator evaluator ratchet observer keeper"},
	{what: "look for a decision", subject: "$JS.API.DIRECT.GET.EVALS.ratchet.v1.eval.r.1.own.decision-1", may: "coordinator evaluator ratchet observer keeper"},
	{what: "look into the task queue", subject: "$JS.API.DIRECT.GET.TASKS", data: `{"seq":1}`, may: "coordinator ratchet observer keeper"},
	{what: "read trajectories in order", subject: "$JS.API.CONSUMER.CREATE.TRAJECTORIES.x", may: streamers},
	{what: "read feedback in order", subject: "$JS.API.CONSUMER.CREATE.FEEDBACK.x", may: "coordinator ratchet keeper"},
	{what: "read verdicts in order", subject: "$JS.API.CONSUMER.CREATE.VERDICTS.x", may: "coordinator evaluator ratchet keeper"},
	{what: "read the run log in order", subject: "$JS.API.CONSUMER.CREATE.RUNS.x", may: "coordinator ratchet keeper"},

	{what: "make or change a stream", subject: "$JS.API.STREAM.UPDATE.VERDICTS", may: "coordinator"},
	{what: "make or change a bucket", subject: "$JS.API.STREAM.CREATE.KV_models", may: "coordinator"},
	{what: "make a work queue's consumer", subject: "$JS.API.CONSUMER.CREATE.TASKS.rollout", may: "coordinator"},
	{what: "change a ranker's consumer", subject: "$JS.API.CONSUMER.CREATE.TRAJECTORIES.rank-llm", may: "coordinator"},
	{what: "ask for the newest trajectory", subject: "$JS.API.STREAM.MSG.GET.TRAJECTORIES", data: `{"last_by_subj":">"}`, may: streamers},
	{what: "ask for the newest step", subject: "$JS.API.STREAM.MSG.GET.STEPS", data: `{"last_by_subj":">"}`, may: "coordinator ratchet keeper"},
	{what: "have another server lead a queue", subject: "$JS.API.CONSUMER.LEADER.STEPDOWN.TASKS.rollout", may: "coordinator"},
	{what: "remove a ranker's consumer", subject: "$JS.API.CONSUMER.DELETE.TRAJECTORIES.rank-perplexity", may: "coordinator"},
	{what: "remove a stream", subject: "$JS.API.STREAM.DELETE.VERDICTS", may: ""},
	{what: "purge the journal", subject: "$JS.API.STREAM.PURGE.STEPS", may: "coordinator keeper"},
	{what: "purge results", subject: "$JS.API.STREAM.PURGE.TRAJECTORIES", may: "keeper"},
	{what: "purge promotions", subject: "$JS.API.STREAM.PURGE.KV_models", may: "keeper"},
	{what: "delete a verdict", subject: "$JS.API.STREAM.MSG.DELETE.VERDICTS", may: ""},
	{what: "delete a dead letter", subject: "$JS.API.STREAM.MSG.DELETE.DEAD", may: "ratchet"},
	{what: "list streams", subject: "$JS.API.STREAM.LIST", may: "coordinator ratchet observer"},
	{what: "see a queue's depth", subject: "$JS.API.CONSUMER.INFO.TASKS.rollout", may: "coordinator ratchet rollout-worker observer"},

	{what: "hear others' results as they are published", subject: "ratchet.v1.>", hear: true, may: ""},
	{what: "hear what rollout workers are answered", subject: "_INBOX_rollout-worker.>", hear: true, may: "rollout-worker"},
	{what: "hear what evaluators are answered", subject: "_INBOX_evaluator.>", hear: true, may: "evaluator"},
	{what: "hear requests to the coordinator", subject: "ratchet.v1.api.submit", hear: true, may: "coordinator"},
	{what: "hear buckets change", subject: "$KV.>", hear: true, may: ""},
	{what: "hear the server's events", subject: "$JS.EVENT.>", hear: true, may: ""},
	{what: "hear everything", subject: ">", hear: true, may: ""},
}

// try is true if it is permitted. What is not must be said: silence fails the test.
func (tr trial) try(t *testing.T, conn *bus.Conn) bool {
	t.Helper()
	var err error
	switch {
	case tr.hear:
		err = conn.Hear(t, tr.subject)
	case tr.unanswered:
		err = conn.Say(t, tr.subject, "")
	default:
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err = conn.Ask(ctx, tr.subject, tr.data)
		if err != nil && !errors.Is(err, bus.ErrDenied) {
			t.Errorf("%s (%s): %v, want an answer or ErrDenied", tr.what, tr.subject, err)
		}
	}
	if err != nil && !strings.Contains(err.Error(), tr.subject) {
		t.Errorf("%s: the error does not name %s: %v", tr.what, tr.subject, err)
	}
	return err == nil
}

// TestMatrix tries every role on every family of subjects, streams and buckets, on a server with the users that
// WriteUsers writes. The table of docs/permissions.md is its expectation.
func TestMatrix(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for _, role := range g.roles {
		t.Run(role.Name, func(t *testing.T) {
			t.Parallel()
			conn := g.as(t, role.Name)
			for _, tr := range trials {
				if got, want := tr.try(t, conn), slices.Contains(strings.Fields(tr.may), role.Name); got != want {
					t.Errorf("%s (%s): permitted %t, want %t", tr.what, tr.subject, got, want)
				}
			}
		})
	}
}

// TestRolesAreData holds the permissions against a golden file; RATCHET_UPDATE=1 writes it.
func TestRolesAreData(t *testing.T) {
	t.Parallel()
	roles, err := bus.Roles(plugged(config.Default()))
	if err != nil {
		t.Fatal(err)
	}
	have, err := json.MarshalIndent(roles, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/permissions.json", string(have)+"\n")
}

// TestMatrixIsDocumented holds the table of docs/permissions.md against the trials; RATCHET_UPDATE=1 writes it.
func TestMatrixIsDocumented(t *testing.T) {
	t.Parallel()
	const page, from, to = "../../docs/permissions.md", "<!-- the matrix: made by the test -->\n", "<!-- end of the matrix -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), from)
	_, after, ended := strings.Cut(rest, to)
	if !found || !ended {
		t.Fatalf("%s: want a table between %q and %q", page, from, to)
	}
	golden(t, page, before+from+matrix(t)+to+after)
}

func matrix(t *testing.T) string {
	t.Helper()
	roles, err := bus.Roles(plugged(config.Default()))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| |")
	for _, r := range roles {
		fmt.Fprintf(&b, " %s |", r.Name)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" :-: |", len(roles)) + "\n")
	for _, tr := range trials {
		fmt.Fprintf(&b, "| %s |", tr.what)
		for _, r := range roles {
			mark := ""
			if slices.Contains(strings.Fields(tr.may), r.Name) {
				mark = "yes"
			}
			fmt.Fprintf(&b, " %s |", mark)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestConfinedRolesWriteNothingByWayOfReplies: the server delivers an answer to whatever subject a request names, and
// asks nobody whether the requester may publish there. From an account of its own nothing of it reaches the streams.
func TestConfinedRolesWriteNothingByWayOfReplies(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	id := identity("forged")
	rollout := g.as(t, bus.RoleRollout)
	if _, err := rollout.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "forged")); err != nil {
		t.Fatal(err)
	}
	reader, other := g.as(t, bus.RoleOperator), identity("other")
	victims := map[string]string{
		bus.VerdictSubject("llm", other): bus.Verdicts, bus.FeedbackSubject("llm", other): bus.Feedback, bus.StepSubject(other): bus.Steps,
		bus.EvalSubject("r", 1, "own", "decision-1"): bus.Evals, bus.TrainingSubject("r", 1, "own", "checkpoint"): bus.Training,
		bus.TaskSubject("build", "r", 1, "own"): bus.Tasks, "$KV.models.promoted.r": "KV_models", "$KV.runs.r.state": "KV_runs",
	}
	for _, role := range g.roles {
		if !role.Confined {
			continue
		}
		conn := g.as(t, role.Name)
		for _, request := range role.Publish {
			for victim := range victims {
				if rightful := slices.ContainsFunc(role.Publish, func(s string) bool { return strings.HasPrefix(victim, strings.TrimSuffix(s, ">")) }); !rightful {
					_ = conn.Say(t, strings.NewReplacer("*", "r", ">", bus.IDTokens(id)).Replace(request), victim)
				}
			}
			_ = conn.Say(t, strings.NewReplacer("*", "r", ">", bus.IDTokens(id)).Replace(request), "$JS.API.STREAM.PURGE.TRAJECTORIES")
		}
		_ = conn.Say(t, "$JS.API.DIRECT.GET.TRAJECTORIES."+bus.TrajectorySubject(id), "$JS.API.STREAM.PURGE.TRAJECTORIES")
	}
	// The same trick of a role that shares the streams' account works: this test can fail, and such a role is trusted.
	trick := func(victim string) {
		if err := g.as(t, bus.RoleEvaluator).Say(t, "$JS.API.DIRECT.GET.TRAJECTORIES."+bus.TrajectorySubject(id), victim); err != nil {
			t.Fatal(err)
		}
	}
	last := bus.RunSubject("r", "forged")
	trick(last)
	following, arrived := context.WithTimeout(t.Context(), 20*time.Second)
	defer arrived()
	if err := reader.Follow(following, bus.Runs, bus.FollowOptions{Filters: []string{last}}, func(*bus.Message) error { arrived(); return nil }); err != nil {
		t.Fatal(err)
	}
	if errors.Is(following.Err(), context.DeadlineExceeded) {
		t.Error("a trusted role's answer did not arrive either: nothing was tried")
	}
	for victim, stream := range victims {
		if m, err := reader.Last(t.Context(), stream, victim); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("%s holds %v (%v): a confined role has written what it may not", victim, m, err)
		}
	}
	if _, err := reader.Last(t.Context(), bus.Trajectories, bus.TrajectorySubject(id)); err != nil {
		t.Errorf("the trajectory: %v; a confined role has purged it", err)
	}
}
