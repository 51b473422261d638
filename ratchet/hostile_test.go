package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	"github.com/ratchet-rl/ratchet/internal/telemetry"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// hostile is what a model, a page, a dataset or an endpoint may say: a terminal's commands, a title for its window,
// a bell, a line written over, text that runs backwards, C1 controls, and text that nobody sees.
const hostile = "\x1b[2J\x1b]0;owned\x07\r\x9b31m\u009b31m \u202egnp.exe\u2066 zero\u200bwidth \x7f\b\u0085 \U000e0041\nnext\x1b[1A"

// everywhere puts hostile into every text of a message, lists and maps of texts included; identities and what is
// in skip stay.
func everywhere(m protoreflect.Message, skip ...protoreflect.Name) {
	valid := func(f protoreflect.FieldDescriptor) bool {
		for _, name := range skip {
			if f.Name() == name {
				return false
			}
		}
		return f.Message() == nil || f.Message().Name() != "Identity"
	}
	text := protoreflect.ValueOfString(string([]rune(hostile))) // protobuf wants UTF-8
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case !valid(f):
		case f.IsMap() && f.MapKey().Kind() == protoreflect.StringKind && f.MapValue().Kind() == protoreflect.Int64Kind:
			m.Mutable(f).Map().Set(text.MapKey(), protoreflect.ValueOfInt64(7))
		case f.IsMap():
		case f.Kind() == protoreflect.StringKind && f.IsList():
			m.Mutable(f).List().Append(text)
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, text)
		case f.Message() != nil && f.IsList():
			list := m.Mutable(f).List()
			everywhere(list.AppendMutable().Message(), skip...)
		case f.Message() != nil && f.Message().ParentFile().Package() == "ratchet.v1":
			everywhere(m.Mutable(f).Message(), skip...)
		}
	}
}

func filled[M proto.Message](m M, skip ...protoreflect.Name) M {
	everywhere(m.ProtoReflect(), skip...)
	return m
}

// Whatever a stranger wrote into the streams, no command prints a character that a terminal obeys or hides.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	dir := t.TempDir()
	i.ratchet("init", dir).wants(t, exitOK, "run.yaml")
	file := filepath.Join(dir, "run.yaml")
	i.submit(file, "--name", "first").wants(t, exitOK, "first")
	id := &pb.Identity{Run: "first", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-7"}
	publish := func(subject string, ev *pb.Event) {
		t.Helper()
		ev.Run, ev.Generation = "first", 1
		if _, err := i.conn.Publish(t.Context(), subject, ev); err != nil {
			t.Fatal(err)
		}
	}
	trajectory := filled(&pb.Trajectory{Identity: id, Outcome: pb.Outcome_OUTCOME_COMPLETED})
	publish(bus.TrajectorySubject(id), &pb.Event{Body: &pb.Event_Trajectory{Trajectory: trajectory}})
	publish(bus.FeedbackSubject("llm", id), &pb.Event{Body: &pb.Event_Feedback{Feedback: filled(&pb.Feedback{Identity: id})}})
	publish(bus.VerdictSubject("llm", id), &pb.Event{Body: &pb.Event_Verdict{Verdict: filled(&pb.Verdict{Identity: id})}})
	training := func(what string, ev *pb.Event) { publish(bus.TrainingSubject("first", 1, "own", what), ev) }
	training("mixture", &pb.Event{Body: &pb.Event_Mixture{Mixture: filled(&pb.Mixture{})}})
	training("job", &pb.Event{Body: &pb.Event_Job{Job: filled(&pb.Job{})}})
	training("checkpoint", &pb.Event{Body: &pb.Event_Checkpoint{Checkpoint: filled(&pb.Checkpoint{Target: "own"}, "target")}})
	training("deployment", &pb.Event{Body: &pb.Event_Deployment{Deployment: filled(&pb.Deployment{Target: "own"}, "target")}})
	publish(bus.EvalSubject("first", 1, "own", "report-1"), &pb.Event{Body: &pb.Event_Report{Report: filled(&pb.Report{Target: "own", Look: 1}, "target")}})
	publish(bus.EvalSubject("first", 1, "own", "decision-1"), &pb.Event{Body: &pb.Event_Decision{Decision: filled(&pb.Decision{Target: "own", Look: 1, Ruling: pb.Ruling_RULING_REJECT}, "target")}})
	publish(bus.DeadSubject("rollout", "first"), &pb.Event{Body: &pb.Event_DeadLetter{DeadLetter: &pb.DeadLetter{
		Kind: hostileText, Subject: hostileText, Error: hostileText, Identities: []*pb.Identity{id}, Payload: mustMarshal(t, &pb.Event{Run: hostileText, Body: &pb.Event_Trajectory{Trajectory: trajectory}}),
	}}})
	i.ratchet("pause", "first", "--reason", hostileText).wants(t, exitOK, "first pauses")
	i.await("first", func(s runstate.State) bool { return s.Paused })

	written := filepath.Join(dir, "a\x1b[31mb\u202e.jsonl")
	if err := os.WriteFile(written, []byte("{\"question\": \"q\"}\n{\"\\u001b[31m\": 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := fmt.Sprintf("questions: {path: %q}\n\"a\\e[31m\": 1\n", written)
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte(run), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := [][]string{
		{"status"},
		{"status", "first"},
		{"ledger", "first"},
		{"report", "first"},
		{"trajectory", "first", "pool-7"},
		{"trajectory", bus.IDTokens(id)},
		{"lineage", "first/1"},
		{"lineage", bus.IDTokens(id) + "#0"},
		{"lineage", hostileText},
		{"dead", "list"},
		{"dead", "show", "1"},
		{"dead", "replay", "1"},
		{"config", "show", "--set", "rollout.slots=" + hostileText},
		{"status", hostileText},
		{"trajectory", "first", hostileText},
		{"cancel", "first"},
		{"submit", bad},
		{"task", hostileText, "--run", "r"},
		{"kind", "add", hostileText},
		{hostileText},
		{"--" + hostileText},
		{"help", hostileText},
		{"completion", hostileText},
		{"pause", hostileText},
		{"submit", "--follow", file, "--name", hostileText},
	}
	seen := 0
	for _, command := range commands {
		for _, form := range []string{"table", "wide", "json", "yaml", "name"} {
			o := i.ratchet(append(command, "-o", form)...)
			harmless(t, fmt.Sprintf("ratchet %q -o %s", command, form), o.out+o.err)
			seen += len(o.out)
		}
	}
	decoded := ratchet(t.Context(), string(mustMarshal(t, &pb.Event{Body: &pb.Event_Trajectory{Trajectory: trajectory}})), "decode")
	harmless(t, "ratchet decode", decoded.out+decoded.err)
	decoded.wants(t, exitOK, `\u202e`)
	if seen < 10_000 {
		t.Errorf("the commands printed only %d bytes: is anything of it shown?", seen)
	}
}

// hostileText is hostile as far as it is UTF-8.
var hostileText = string([]rune(hostile))

// harmless fails if a text holds anything but line breaks and what is seen.
func harmless(t *testing.T, what, text string) {
	t.Helper()
	for i, r := range text {
		if r != '\n' && telemetry.IsHidden(r) {
			t.Errorf("%s prints %q after %q", what, r, text[max(0, i-40):i])
			return
		}
	}
}
