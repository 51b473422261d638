package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/coordinator/plan"
	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// installation is a bus and a coordinator, and nobody who works.
type installation struct {
	t     *testing.T
	flags []string
	conn  *bus.Conn
	// config is how to reach the bus.
	config config.Bus
}

func newInstallation(t *testing.T) installation {
	t.Helper()
	return installationOn(t, devstack.TestNATS(t), "")
}

// guarded is one on a server that knows roles by their keys.
func guarded(t *testing.T, url, keys string) installation {
	t.Helper()
	return installationOn(t, url, bus.SeedFile(keys, "{role}"))
}

func installationOn(t *testing.T, url, key string) installation {
	t.Helper()
	blobs := "file://" + t.TempDir()
	cfg := config.Default()
	cfg.Bus = devstack.TestConfig(url)
	cfg.Bus.NKeyFile = key
	cfg.Blob.URL = blobs
	env, err := app.Open(t.Context(), "coordinator", cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- plan.Run(ctx, env) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		env.Close()
	})
	flags := []string{"--set", "bus.url=" + url, "--set", "blob.url=" + blobs, "--set", "bus.nkey_file=" + key, "--no-input"}
	return installation{t: t, conn: env.Bus, config: cfg.Bus, flags: flags}
}

// as connects in a role.
func (i installation) as(role string) *bus.Conn {
	i.t.Helper()
	conn, err := bus.Connect(i.t.Context(), i.config, bus.Options{Role: role})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(conn.Close)
	return conn
}

func (i installation) ratchet(args ...string) outcome {
	i.t.Helper()
	return ratchet(i.t.Context(), "", append(slices.Clone(i.flags), args...)...) // what a call says of its own comes last, and counts
}

// submit submits until the coordinator answers.
func (i installation) submit(args ...string) outcome {
	i.t.Helper()
	for {
		o := i.ratchet(append([]string{"submit"}, args...)...)
		if o.code != exitUnreachable {
			return o
		}
	}
}

func TestOperateARun(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	dir := t.TempDir()
	i.ratchet("init", dir).wants(t, exitOK, "run.yaml")
	file := filepath.Join(dir, "run.yaml")

	i.submit(file, "--name", "first").wants(t, exitOK, "run       first")
	i.ratchet("submit", file, "--name", "first").wants(t, exitOK, "disk      about ")
	huge := []string{"submit", file, "--name", "huge", "--repetitions", "100000000"}
	i.ratchet(huge...).wants(t, exitRefused, "run huge does not fit on the bus")
	i.ratchet("status", "huge").wants(t, exitNotFound, "")
	i.ratchet(append(huge, "--force")...).wants(t, exitOK, "run       huge")
	i.ratchet("cancel", "huge", "--yes").wants(t, exitOK, "huge ends")
	i.await("huge", func(s runstate.State) bool { return s.Finished })
	i.ratchet("submit", file, "--name", "first").wants(t, exitOK, "first is there already, with the very same content")
	i.ratchet("submit", file, "--name", "first", "--run-seed", "99").wants(t, exitRefused, "give it another name with --name")
	own := i.ratchet("submit", file, "-o", "name")
	own.wants(t, exitOK, "-")
	i.ratchet("status", "-o", "name").wants(t, exitOK, strings.TrimSpace(own.out))
	i.ratchet("status").wants(t, exitOK, "first")
	i.ratchet("status", "frist").wants(t, exitNotFound, `no run "frist"; there are [`)
	i.ratchet("ledger", "first").wants(t, exitOK, "")
	i.ratchet("report", "first").wants(t, exitOK, "no report yet")
	i.ratchet("trajectory", "first", "pool-0").wants(t, exitNotFound, `no trajectory of question "pool-0" in run first`)
	i.ratchet("lineage", "nobody").wants(t, exitNotFound, `model "nobody": not found`)

	i.ratchet("pause", "first", "--reason", "lunch").wants(t, exitOK, "first pauses")
	i.await("first", func(s runstate.State) bool { return s.Paused })
	i.ratchet("status", "first").wants(t, exitOK, "why: lunch")
	i.ratchet("resume", "first").wants(t, exitOK, "first goes on")
	i.await("first", func(s runstate.State) bool { return !s.Paused })
	i.ratchet("cancel", "first", "--dry-run").wants(t, exitOK, "would end first for good")
	i.ratchet("cancel", "first").wants(t, exitRefused, "not confirmed")
	i.ratchet("cancel", "first", "--yes", "--reason", "enough").wants(t, exitOK, "first ends")
	i.await("first", func(s runstate.State) bool { return s.Finished })
	i.ratchet("status", "first").wants(t, exitOK, "cancelled: enough")
	i.ratchet("pause", "first").wants(t, exitRefused, "run first is finished")
	i.ratchet("pause", "nobody").wants(t, exitNotFound, `no run "nobody"`)
}

// await follows the state of a run as the bus tells of it.
func (i installation) await(run string, until func(runstate.State) bool) {
	i.t.Helper()
	for {
		var s runstate.State
		o := i.ratchet("status", run, "-o", "json")
		if o.code != exitOK {
			i.t.Fatalf("status: %s", o.err)
		}
		if err := json.Unmarshal([]byte(o.out), &s); err != nil {
			i.t.Fatal(err)
		}
		if until(s) {
			return
		}
		if i.t.Context().Err() != nil {
			i.t.Fatal("never happened")
		}
	}
}

func TestQuestionsMissing(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	dir := t.TempDir()
	i.ratchet("init", dir).wants(t, exitOK, "run.yaml")
	file := filepath.Join(dir, "run.yaml")
	for name, text := range map[string]string{"pool.jsonl": "{\"prompt\": \"q\"}\n", "corpus.jsonl": ""} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if text == "" {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		i.ratchet("submit", file).wants(t, exitUsage, "fix:")
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlugInTasks(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	for { // until the coordinator answers
		o := i.ratchet("kind", "add", "summarize")
		if o.code != exitUnreachable {
			o.wants(t, exitOK, "ratchet.v1.task.summarize.RUN.0.ID")
			break
		}
	}
	i.ratchet("kind", "add", "No Name").wants(t, exitRefused, "use a-z")
	first := i.ratchet("task", "summarize", "--run", "r", "--args", `{"b": 2, "a": 1}`)
	first.wants(t, exitOK, "ratchet.v1.task.summarize.r.0.")
	if again := i.ratchet("task", "summarize", "--run", "r", "--args", `{"a":1,"b":2}`); again.out != first.out {
		t.Errorf("the same arguments make another task: %s, %s", again.out, first.out)
	}
	depth, err := i.conn.Depth(t.Context(), bus.TaskSource("summarize"))
	if err != nil || depth.Waiting != 1 {
		t.Errorf("depth %+v, %v", depth, err)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	for i.ratchet("kind", "add", "rollout").code == exitUnreachable { // until the topology is there
	}
	i.ratchet("dead").wants(t, exitOK, "no dead letters")
	subject := bus.TaskSubject("rollout", "r", 1, "grow-own-000000-0")
	task := &pb.Event{Id: "t", Run: "r", Generation: 1, Body: &pb.Event_Task{Task: &pb.Task{Id: "grow-own-000000-0", Kind: "rollout"}}}
	for n := range 2 {
		letter := &pb.DeadLetter{Kind: "rollout", Subject: subject, Payload: mustMarshal(t, task), Failure: pb.FailureClass_FAILURE_CLASS_ENDPOINT, Error: "refused", Attempts: 8}
		ev := &pb.Event{Id: fmt.Sprint("d", n), Run: "r", Generation: 1, Body: &pb.Event_DeadLetter{DeadLetter: letter}}
		if _, err := i.conn.Publish(t.Context(), bus.DeadSubject("rollout", "r"), ev); err != nil {
			t.Fatal(err)
		}
	}
	i.ratchet("dead", "list").wants(t, exitOK, "2      r    rollout  endpoint")
	i.ratchet("dead", "list", "--run", "other").wants(t, exitOK, "no dead letters")
	i.ratchet("dead", "list", "-o", "json").wants(t, exitOK, `"subject": "`+subject+`"`)
	i.ratchet("dead", "show", "1").wants(t, exitOK, `"id": "grow-own-000000-0"`)
	i.ratchet("dead", "show", "9").wants(t, exitNotFound, "no dead letter 9")
	i.ratchet("dead", "replay", "--run", "r", "--dry-run").wants(t, exitOK, "would replay 2 dead letters")
	i.ratchet("dead", "replay", "1").wants(t, exitRefused, "replay 1 dead letters: not confirmed")
	i.ratchet("dead", "replay", "1", "--yes").wants(t, exitOK, "replayed 1 of 1")
	i.ratchet("dead", "list", "-o", "name").wants(t, exitOK, "2\n")
	depth, err := i.conn.Depth(t.Context(), bus.TaskSource("rollout"))
	if err != nil || depth.Waiting != 1 {
		t.Errorf("depth %+v, %v", depth, err)
	}
}
