package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Forms of the settings that name one of several.
const (
	APICompletions = "completions"
	APIChat        = "chat"

	RenderingFewShot = "few_shot"
	RenderingBare    = "bare"

	DecodingFree    = "free"
	DecodingGrammar = "grammar"

	StrategyReSTReAct = "rest-react"
	StrategyRaft      = "raft"
	StrategyReST      = "rest"
	StrategyStar      = "star"

	DriverCommand    = "command"
	DriverKubernetes = "kubernetes"
	DriverOpenAI     = "openai"

	DeployerStatic   = "static"
	DeployerVLLMLoRA = "vllm-lora"
	DeployerCommand  = "command"
	// DeployerKubernetes is the one that is also a driver's name.
	DeployerKubernetes = "kubernetes"
	// DeployerOpenAI serves what DriverOpenAI has made.
	DeployerOpenAI = "openai"

	RuleBootstrap = "bootstrap"
	RulePaper     = "paper"

	// NameLLM is the ranker and the judge that ask the model of Run.Judge.
	NameLLM = "llm"
)

// DefaultRun is a run of which nothing was said. What depends on other settings is filled in by ParseRun.
func DefaultRun() Run {
	return Run{
		Seed:       1,
		Evaluation: Evaluation{Repetitions: 10, Judge: NameLLM},
		Search:     SearchTool{Kind: SearchBM25, Results: 3, Budget: 10},
		Limits: Limits{
			Call: Duration(5 * time.Minute), Search: Duration(30 * time.Second), Trajectory: Duration(30 * time.Minute),
		},
		Policy: Policy{
			Model: Model{API: APICompletions, MaxTokens: 512}, Rendering: RenderingFewShot,
			Candidates: 4, Temperature: 0.5, Resamples: 2,
		},
		Judge:       Model{API: APIChat, MaxTokens: 512},
		Rankers:     []string{NameLLM},
		Strategy:    Strategy{Name: StrategyReSTReAct},
		Grow:        Grow{Samples: []int{1}},
		Deploy:      Deploy{Deployer: DeployerVLLMLoRA, Rendering: RenderingBare},
		Generations: 2,
		Gate:        Gate{Rule: RuleBootstrap, Level: 0.05, Resamples: 10_000},
		Plateau:     1,
	}
}

// LoadRun reads a run file; see ParseRun.
func LoadRun(path string) (Run, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Run{}, fmt.Errorf("read run file: %w", err)
	}
	return ParseRun(data, path)
}

// ParseRun reads a run, fills in every default but the name (Named does), and says everything that is wrong
// with it, by file and line; name is the file's.
func ParseRun(data []byte, name string) (Run, error) {
	run := DefaultRun()
	doc, err := read(data, name, &run)
	if err != nil {
		return run, err
	}
	run.fill()
	return run, run.validate(doc.place)
}

// Complete is a run that was made in Go, not read: its defaults filled in, and checked.
func (r Run) Complete() (Run, error) {
	r.Targets = slices.Clone(r.Targets)
	r.fill()
	return r, r.Validate()
}

// fill sets the defaults that follow from other settings.
func (r *Run) fill() {
	fillSource(&r.Questions)
	fillSource(&r.Evaluation.Set)
	if r.Evaluation.Locked != nil {
		fillSource(r.Evaluation.Locked)
	}
	if labels := r.Strategy.Labels; labels != nil {
		labels.Name = cmp.Or(labels.Name, r.Questions.Name)
	}
	if len(r.Rankers) > 0 {
		r.Strategy.Ranker = cmp.Or(r.Strategy.Ranker, r.Rankers[0])
	}
	r.Grow.Temperature = cmp.Or(r.Grow.Temperature, r.Policy.Temperature)
	r.Policy.fill()
	r.Judge.fill()
	if !r.Deploy.Owns() {
		r.Deploy.Endpoint = cmp.Or(r.Deploy.Endpoint, r.Policy.Endpoint)
	}
	for i := range r.Targets {
		target := &r.Targets[i]
		target.Driver = cmp.Or(target.Driver, DriverCommand)
		target.Timeout = cmp.Or(target.Timeout, Duration(6*time.Hour))
		target.Candidates = cmp.Or(target.Candidates, r.Policy.Candidates)
	}
}

// fillSource names a set after its file: data/pool.jsonl.gz is pool.
func fillSource(s *Source) {
	if s.Name != "" || s.Path == "" {
		return
	}
	stem, _, _ := strings.Cut(path.Base(strings.ReplaceAll(s.Path, `\`, "/")), ".")
	s.Name = Token(stem)
}

// Named is the run with a name: its own, else a word and a hash of all it says, so that the same run has the
// same name. prefix takes the word's place if it is not empty.
func (r Run) Named(prefix string) Run {
	if r.Name != "" {
		return r
	}
	text, err := json.Marshal(r)
	if err != nil { // a number that JSON cannot say, which validation refuses
		text = fmt.Append(nil, r)
	}
	sum := sha256.Sum256(text)
	r.Name = cmp.Or(prefix, words[int(sum[0])%len(words)]) + "-" + hex.EncodeToString(sum[1:3])
	return r
}

var words = []string{
	"acorn", "amber", "anvil", "aspen", "basil", "birch", "brook", "cedar", "cliff", "clover", "cobalt", "coral",
	"crane", "delta", "ember", "falcon", "fern", "flint", "garnet", "glade", "harbor", "hazel", "heron", "indigo",
	"iris", "jade", "juniper", "lark", "larch", "lotus", "maple", "marble", "meadow", "mint", "moss", "oak",
	"olive", "onyx", "opal", "orchid", "otter", "pebble", "pine", "plum", "quartz", "raven", "reed", "ridge",
	"river", "robin", "saffron", "sage", "sorrel", "spruce", "tansy", "teal", "thistle", "topaz", "tulip", "umber",
	"violet", "willow", "wren", "yarrow",
}

// Sources lists the sets of questions that the run reads, by their path in the run file.
func (r *Run) Sources() map[string]*Source {
	all := map[string]*Source{"questions": &r.Questions, "evaluation.set": &r.Evaluation.Set}
	if r.Evaluation.Locked != nil {
		all["evaluation.locked"] = r.Evaluation.Locked
	}
	if r.Strategy.Labels != nil {
		all["strategy.labels"] = r.Strategy.Labels
	}
	return all
}

// AsksJudge tells whether the run calls the model of Run.Judge.
func (r Run) AsksJudge() bool {
	return r.Evaluation.Judge == NameLLM || slices.Contains(r.Rankers, NameLLM)
}
