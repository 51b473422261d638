package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// labelled reads labels of three answers: two to question set-q-1, one to set-q-2.
func labelled(t *testing.T, text string) (map[string][]history.Label, error) {
	t.Helper()
	l := labelling{answers: map[string]bool{}, byQuestion: map[string][]string{}, first: map[string]string{}, labels: map[string][]history.Label{}}
	spec := config.Run{}
	spec.Evaluation.Set.Name = "set"
	id := func(question string, sample int32) *pb.Identity {
		return &pb.Identity{Run: "r", Target: "own", Purpose: pb.Purpose_PURPOSE_EVAL, Question: question, Sample: sample}
	}
	l.known(spec, []*pb.Identity{id("set-q-1", 0), id("set-q-1", 1), id("set-q-2", 0)})
	file := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return l.labels, l.read(file)
}

func TestLabels(t *testing.T) {
	t.Parallel()
	labels, err := labelled(t, "Identity,Question,Label,Who\nr.0.own.eval.set-q-1.1,,TRUE,ann\nr.0.own.eval.set-q-1.1,,no,bob\n,q-2,1,ann\n,set-q-2,wrong,bob\n,q-2,,eve\n")
	if err != nil {
		t.Fatal(err)
	}
	one, two := labels["r.0.own.eval.set-q-1.1"], labels["r.0.own.eval.set-q-2.0"]
	if len(labels) != 2 || len(one) != 2 || !one[0].Right || one[1].Right || len(two) != 2 || !two[0].Right || two[1].Right || two[1].Who != "bob" {
		t.Errorf("read %v", labels)
	}
	for name, c := range map[string]struct{ text, want string }{
		"no labels column":   {"identity\nx\n", "people.csv:1: no column label"},
		"neither nor":        {"identity,label\nr.0.own.eval.set-q-1.0,perhaps\n", `people.csv:2: label "perhaps"` + "\n  expected true or false"},
		"no identity":        {"identity,label\nr.0.own,true\n", `people.csv:2: identity "r.0.own"`},
		"another run's":      {"identity,label\ns.0.own.eval.set-q-1.0,true\n", "people.csv:2: no evaluated trajectory s.0.own.eval.set-q-1.0"},
		"of nothing":         {"identity,label\n,true\n", "people.csv:2: a label of nothing"},
		"unknown question":   {"question,label\nq-9,true\n", `people.csv:2: no evaluated question "q-9"`},
		"several answers":    {"question,label\nq-1,true\n", `people.csv:2: question "q-1" has 2 answers`},
		"twice by a person":  {"question,label,who\nq-2,true,ann\nset-q-2,false,ann\n", "people.csv:3: r.0.own.eval.set-q-2.0 has two labels of \"ann\", the other one at "},
		"nothing is labeled": {"question,label\nq-2,\n", "holds no label"},
		"all that is wrong":  {"question,label\nq-9,true\nq-2,maybe\n", "people.csv:3: label"},
	} {
		if _, err := labelled(t, c.text); err == nil || !strings.Contains(err.Error(), c.want) || codeOf(err) != exitUsage {
			t.Errorf("%s: %v (exit %d), want %q", name, err, codeOf(err), c.want)
		}
	}
}
