package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/dataset"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// outcome is what one call of the command printed and returned.
type outcome struct {
	code     int
	out, err string
}

// ratchet calls the command.
func ratchet(ctx context.Context, stdin string, args ...string) outcome {
	var out, err bytes.Buffer
	code := run(ctx, args, streams{in: strings.NewReader(stdin), out: &out, err: &err})
	return outcome{code, out.String(), err.String()}
}

// wants checks an outcome: the code, and a text in either stream.
func (o outcome) wants(t *testing.T, code int, text string) {
	t.Helper()
	if o.code != code || !strings.Contains(o.out+o.err, text) {
		t.Errorf("got exit %d\nout: %s\nerr: %s\nwant exit %d and %q", o.code, o.out, o.err, code, text)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	typo := filepath.Join(dir, "typo.yaml")
	if err := os.WriteFile(typo, []byte("name: x\n\n\ngeneratons: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"nothing", nil, exitOK, "Usage: ratchet <command>"},
		{"help", []string{"--help"}, exitOK, "for more information on a command"},
		{"help of a command", []string{"submit", "--help"}, exitOK, "ratchet submit run.yaml --ranker perplexity --dry-run"},
		{"typo", []string{"stauts"}, exitUsage, `did you mean "status"?`},
		{"unknown flag", []string{"status", "--nope"}, exitUsage, "unknown flag --nope"},
		{"topic", []string{"help", "exit-codes"}, exitOK, "130   interrupted"},
		{"environment", []string{"help", "environment"}, exitOK, "RATCHET_BUS_ACK_WAIT"},
		{"subjects", []string{"help", "subjects"}, exitOK, "ratchet.v1.trajectory.RUN.1.own.grow.QUESTION.0"},
		{"unknown topic", []string{"help", "nope"}, exitNotFound, "use one of: environment, exit-codes, subjects"},
		{"version", []string{"version"}, exitOK, "ratchet " + version},
		{"version as JSON", []string{"version", "-o", "json"}, exitOK, `"version": "` + version + `"`},
		{"settings", []string{"config", "show", "--set", "bus.url=nats://h:1"}, exitOK, "nats://h:1"},
		{"settings as YAML", []string{"config", "show", "-o", "yaml"}, exitOK, "- key: bus.url"},
		{"wrong setting", []string{"config", "show", "--set", "bus.urll=x"}, exitUsage, `did you mean "bus.url"?`},
		{"no such file", []string{"config", "show", "--config", filepath.Join(dir, "none.yaml")}, exitNotFound, "none.yaml"},
		{"run file", []string{"submit", typo}, exitUsage, typo + `:4: unknown key "generatons"; did you mean "generations"?`},
		{"no bus", []string{"status", "--set", "bus.url=nats://127.0.0.1:1", "--wait", "10ms"}, exitUnreachable, "start one with `ratchet up`"},
		{"completion", []string{"completion", "bash"}, exitOK, "complete -C"},
		{"task without JSON", []string{"task", "k", "--run", "r", "--args", "nope"}, exitUsage, "--args is no JSON object"},
		{"task with a bad kind", []string{"task", "K K", "--run", "r"}, exitUsage, `kind "K K" is no name`},
		{"until what", []string{"up", "--until-done"}, exitUsage, "--until-done without --submit"},
		{"replay of everything", []string{"dead", "replay"}, exitUsage, "nothing selected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ratchet(t.Context(), "", c.args...).wants(t, c.code, c.want)
		})
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("x"), exitFailed},
		{usage(errors.New("x"), ""), exitUsage},
		{errors.Join(&config.Error{Problem: "a"}, &config.Error{Problem: "b"}), exitUsage},
		{fmt.Errorf("load: %w", &dataset.Error{Problem: "a"}), exitUsage},
		{fmt.Errorf("read: %w", bus.ErrNotFound), exitNotFound},
		{&bus.RequestError{Text: "run x: runs/x.state: not found"}, exitNotFound},
		{&bus.RequestError{Text: "refused: run x is finished"}, exitRefused},
		{&bus.RequestError{Text: "write state: disk"}, exitFailed},
		{fmt.Errorf("ask: %w", bus.ErrNobody), exitUnreachable},
		{context.Canceled, exitInterrupted},
		{silent(exitUndecided), exitUndecided},
	} {
		if got := codeOf(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
}

func TestComplain(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	err := errors.Join(errors.New("a\x1b[31m"), errors.Join(errors.New("b\n  fix: c"), errors.New("b\n  fix: c")), fmt.Errorf("%w and %w", errors.New("d"), errors.New("e")))
	complain(&b, (&globals{}).paint(&b), err)
	want := "error: a␛[31m\nerror: b\n  fix: c (2 times)\nerror: d and e\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	ev := &pb.Event{Id: "i", Run: "r", Body: &pb.Event_RunLog{RunLog: &pb.RunLog{What: "entered", Phase: pb.Phase_PHASE_GROW, Expected: 7}}}
	binary, err := proto.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{"protobuf": string(binary), "JSON": string(text)} {
		got := ratchet(t.Context(), in, "decode")
		var back pb.Event
		if err := protojson.Unmarshal([]byte(got.out), &back); got.code != exitOK || err != nil || !proto.Equal(&back, ev) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	ratchet(t.Context(), "", "decode").wants(t, exitUsage, "no event on standard input")
	ratchet(t.Context(), "\xff\xff\xff", "decode").wants(t, exitUsage, "3 bytes that are no event of Ratchet")
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("{}"))
	f.Add([]byte("\x0a\x01a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := ratchet(t.Context(), string(data), "decode")
		if got.code == exitOK && !json.Valid([]byte(got.out)) {
			t.Fatalf("not JSON: %q", got.out)
		}
	})
}

func TestInit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ratchet(t.Context(), "", "init", dir).wants(t, exitOK, "wrote "+filepath.Join(dir, "run.yaml"))
	for _, name := range []string{"corpus.jsonl", "pool.jsonl", "heldout.jsonl", "run.yaml", "ratchet.yaml"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	runFile := filepath.Join(dir, "run.yaml")
	ratchet(t.Context(), "", "submit", runFile, "--dry-run").wants(t, exitOK, "125 questions of heldout x 3")
	ratchet(t.Context(), "", "submit", runFile, "--dry-run", "--questions", "5", "--generations", "1").wants(t, exitOK, "5 questions of pool")
	ratchet(t.Context(), "", "submit", runFile, "--dry-run", "--generations=-1").wants(t, exitUsage, "generations: want a whole number from 0")
	if err := os.WriteFile(runFile, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	ratchet(t.Context(), "", "init", dir).wants(t, exitOK, "is there; left alone")
	if text, _ := os.ReadFile(runFile); string(text) != "mine" {
		t.Error("init wrote over a file")
	}
	if err := os.Remove(filepath.Join(dir, "pool.jsonl")); err != nil {
		t.Fatal(err)
	}
}

func TestColour(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	for color, want := range map[string]bool{"auto": false, "always": true, "never": false} {
		if got := (globals{Color: color}).paint(&bytes.Buffer{}).On; got != want {
			t.Errorf("%s: got %t", color, got)
		}
	}
	t.Setenv("NO_COLOR", "1")
	if (globals{Color: "auto"}).paint(&bytes.Buffer{}).On {
		t.Error("NO_COLOR is not heeded")
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	before := []string{"run  state  updated", "a  running  1/2  3.0 s ago"}
	now := []string{"run  state  updated", "a  running  1/2  4.0 s ago", "b  paused  0/2  1.0 s ago"}
	if got := changes(before, now); got != "b  paused  0/2  1.0 s ago\n" {
		t.Errorf("got %q", got)
	}
}
