package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

const smallest = `questions: {path: data/Pool.v1.jsonl}
evaluation: {set: {path: heldout.csv}}
search: {corpus: corpus.jsonl}
policy: {endpoint: "http://h:1/v1", model: m}
judge: {endpoint: "http://h:2/v1", model: j}
`

func TestParseRunDefaults(t *testing.T) {
	t.Parallel()
	run, err := ParseRun([]byte(smallest+"targets:\n- name: own\n  base: b\n  command: [train, \"{out}\"]\n"), "run.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultRun()
	want.Questions = Source{Name: "pool-" + Token("Pool")[len("pool-"):], Path: "data/Pool.v1.jsonl"}
	want.Evaluation.Set = Source{Name: "heldout", Path: "heldout.csv"}
	want.Search.Corpus = "corpus.jsonl"
	want.Policy.Endpoint, want.Policy.Model.Model = "http://h:1/v1", "m"
	want.Judge.Endpoint, want.Judge.Model = "http://h:2/v1", "j"
	want.Strategy.Ranker = "llm"
	want.Grow.Temperature = 0.5
	want.Deploy.Endpoint = "http://h:1/v1"
	want.Targets = []Target{{
		Name: "own", Base: "b", Driver: "command", Command: []string{"train", "{out}"}, Timeout: Duration(6 * time.Hour), Candidates: 4,
	}}
	if !reflect.DeepEqual(run, want) {
		t.Errorf("got  %+v\nwant %+v", run, want)
	}
}

func TestParseRunKeepsWhatIsSaid(t *testing.T) {
	t.Parallel()
	run, err := ParseRun([]byte(smallest+"generations: 0\nseed: 0\nrankers: [perplexity]\nplateau: 3\nlimits:\n  call: 9s\n"), "run.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := []any{run.Generations, run.Seed, run.Rankers, run.Strategy.Ranker, run.Plateau, run.Limits.Call, run.Limits.Search}
	want := []any{0, uint64(0), []string{"perplexity"}, "perplexity", 3, Duration(9 * time.Second), Duration(30 * time.Second)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseRunErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"typo", smallest + "generatons: 2\n", `run.yaml:6: unknown key "generatons"; did you mean "generations"?`},
		{"typo in a list", smallest + "targets:\n- name: own\n  bass: x\n", `run.yaml:8: unknown key "bass"; did you mean "base"?`},
		{"no questions", strings.Replace(smallest, "path: data/Pool.v1.jsonl", "", 1), "run.yaml:1: questions.path: missing"},
		{"no endpoint", strings.Replace(smallest, "http://h:1/v1", "h:1", 1), "run.yaml:4: policy.endpoint: want the base URL"},
		{"no judge", strings.Replace(smallest, "judge", "#", 1), "judge.endpoint: want the base URL"},
		{"no corpus", strings.Replace(smallest, "corpus: corpus.jsonl", "kind: bm25", 1), "run.yaml:3: search.corpus: missing"},
		{"no URL", strings.Replace(smallest, "corpus: corpus.jsonl", "kind: retrieve", 1), "search.url: want the http(s) URL"},
		{"word for a number", smallest + "generations: two\n", `run.yaml:6: generations: want a whole number, not "two"`},
		{"name", smallest + "name: My Run\n", `run.yaml:6: name: "My Run" is no name of a run`},
		{"long name", smallest + "name: " + strings.Repeat("a", 33) + "\n", "33 characters, 32 are allowed"},
		{"falling looks", strings.Replace(smallest, "}}", "}, repetitions: 3, looks: [2, 1, 3]}", 1), "run.yaml:2: evaluation.looks: [2 1 3] do not rise"},
		{"short looks", strings.Replace(smallest, "}}", "}, repetitions: 5, looks: [1, 3]}", 1), "the last look is at 3 repetitions, but there are 5"},
		{"ranker", smallest + "strategy: {ranker: human}\n", `run.yaml:6: strategy.ranker: "human" is not among the rankers`},
		{"rest", smallest + "strategy: {name: rest}\n", "rest needs thresholds"},
		{"falling thresholds", smallest + "strategy: {name: rest, thresholds: [0.7, 0.5]}\n", "[0.7 0.5] do not rise"},
		{"star", smallest + "strategy: {name: star}\n", "star keeps what ends in a right answer and needs labels"},
		{"strategy", smallest + "strategy: {name: rest-raect}\n", `unknown value "rest-raect"; did you mean "rest-react"?`},
		{"first target", smallest + "targets:\n- name: small\n  base: x\n  command: [a]\n", `run.yaml:7: targets[0].name: the first target is "small"`},
		{"target twice", smallest + "targets:\n- {name: own, base: x, command: [a]}\n- {name: own, base: x, command: [a]}\n", `run.yaml:8: targets[1].name: a second target "own"`},
		{"no command", smallest + "targets:\n- {name: own, base: x}\n", "targets[0].command: missing"},
		{"samples", smallest + "grow: {samples: []}\n", "grow.samples: empty"},
		{"temperature", smallest + "grow: {temperature: -1}\n", "grow.temperature: want a number from 0 to 2"},
		{"level", smallest + "gate: {level: 5}\n", "gate.level: want a number from 0.0001 to 0.5, not 5"},
		{"infinite", smallest + "gate: {margin: .inf}\n", "gate.margin"},
		{"plateau", smallest + "plateau: 0\n", "plateau: want a whole number from 1"},
		{"budget", smallest + "budgets: {calls: -1}\n", "budgets.calls"},
		{"alias", smallest + "grow: &g {samples: [1]}\n", "want keys and values"},
		{"static", smallest + "deploy: {deployer: static}\ntargets:\n- {name: own, base: x, command: [a]}\n", "deploy.model: missing"},
		{"server without command", smallest + "deploy: {deployer: command}\ntargets:\n- {name: own, base: x, command: [a]}\n", "deploy.command: missing"},
		{"server without a port", smallest + "deploy: {deployer: command, command: [serve, \"{path}\"]}\ntargets:\n- {name: own, base: x, command: [a]}\n", "{port}"},
		{"server without a checkpoint", smallest + "deploy: {deployer: command, command: [serve, \"{port}\"]}\ntargets:\n- {name: own, base: x, command: [a]}\n", "{path}"},
		{"server with an endpoint", smallest + "deploy: {deployer: command, endpoint: \"http://h:1/v1\", command: [serve, \"{port}\", \"{path}\"]}\ntargets:\n- {name: own, base: x, command: [a]}\n", "makes its own endpoint"},
		{"ready is no path", smallest + "deploy: {deployer: command, ready: health}\ntargets:\n- {name: own, base: x, command: [a]}\n", "deploy.ready"},
		{"no image", smallest + "targets:\n- {name: own, base: x, command: [a], driver: kubernetes}\n", "targets[0].kubernetes: missing"},
		{"pod for nobody", smallest + "targets:\n- {name: own, base: x, command: [a], kubernetes: {image: i}}\n", "nobody reads it"},
		{"nodes of a job", smallest + "targets:\n- {name: own, base: x, command: [a], driver: kubernetes, kubernetes: {image: i, replicas: 2}}\n", "need runtime"},
		{"memory", smallest + "targets:\n- {name: own, base: x, command: [a], driver: kubernetes, kubernetes: {image: i, memory: lots}}\n", "such as 64Gi"},
		{"pod of a server", smallest + "deploy: {deployer: kubernetes}\ntargets:\n- {name: own, base: x, command: [a]}\n", "deploy.kubernetes: missing"},
		{"openai with a command", smallest + "deploy: {deployer: openai}\ntargets:\n- {name: own, base: x, command: [a], driver: openai}\n", "the API trains"},
		{"openai served by vLLM", smallest + "targets:\n- {name: own, base: x, driver: openai}\n", "go together"},
		{"endpoint for nobody", smallest + "targets:\n- {name: own, base: x, command: [a], endpoint: \"http://h:1/v1\"}\n", "only the driver openai has one"},
		{"empty", "", "questions.path: missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseRun([]byte(c.text), "run.yaml")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant it to contain %q", err, c.want)
			}
		})
	}
}

// TestOldRunsKeepTheirNames: what can be said of deployment since the first release is not said of a run that does not.
func TestOldRunsKeepTheirNames(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(DefaultRun().Deploy)
	if want := `{"deployer":"vllm-lora","endpoint":"","rendering":"bare"}`; err != nil || string(text) != want {
		t.Errorf("%s (%v), want %s", text, err, want)
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	run, err := ParseRun([]byte(smallest), "run.yaml")
	if err != nil {
		t.Fatal(err)
	}
	name := run.Named("").Name
	if !IsToken(name) || run.Named("").Name != name {
		t.Errorf("name %q", name)
	}
	other := run
	other.Seed++
	if other.Named("").Name == name {
		t.Error("two runs share a name")
	}
	if got := run.Named("demo").Name; !strings.HasPrefix(got, "demo-") {
		t.Errorf("got %q", got)
	}
	run.Name = "mine"
	if got := run.Named("demo").Name; got != "mine" {
		t.Errorf("got %q", got)
	}
}

// Every key of the structs is in the example files, and uncommenting all of it reads.
func TestExamplesNameEveryKey(t *testing.T) {
	t.Parallel()
	cfg := Default()
	run := DefaultRun()
	run.Targets = []Target{{Name: OwnTarget, Base: "own", Command: []string{"train"}}}
	for name, c := range map[string]struct {
		text []byte
		into any
	}{
		"config": {ExampleConfig(), &Config{}},
		"run":    {ExampleRun(run), &Run{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := read(uncomment(c.text), name, c.into)
			if err != nil {
				t.Fatal(err)
			}
			var every []leaf
			if name == "config" {
				every = leaves(reflect.ValueOf(&cfg).Elem(), "")
			} else {
				filled := withOptional(run)
				every = leaves(reflect.ValueOf(&filled).Elem(), "")
			}
			for _, l := range every {
				if _, ok := doc.lines[l.path]; !ok {
					t.Errorf("%s is not in the example", l.path)
				}
			}
		})
	}
}

// uncomment drops the mark of settings that are commented out; remarks begin with "# ".
func uncomment(text []byte) []byte {
	var lines []string
	for line := range strings.Lines(string(text)) {
		if body, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "#  ") {
			line = body
		}
		lines = append(lines, line)
	}
	return []byte(strings.Join(lines, ""))
}

// The example of a run, as it is written, is a run.
func TestExampleRunReads(t *testing.T) {
	t.Parallel()
	run, err := ParseRun([]byte(smallest+"targets:\n- {name: own, base: x, command: [a, \"{out}\", \"yes\", \"a: b\"]}\n"), "run.yaml")
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseRun(ExampleRun(run), "example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, run) {
		t.Errorf("got  %+v\nwant %+v", again, run)
	}
}

func FuzzParseRun(f *testing.F) {
	f.Add([]byte(smallest))
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte("? {a: b}\n: - c"))
	f.Add([]byte("questions:\n  path: |\n    x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := ParseRun(data, "run.yaml")
		if err == nil && run.Validate() != nil {
			t.Fatal("read without error, but not valid")
		}
	})
}
