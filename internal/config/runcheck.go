package config

import (
	"cmp"
	"fmt"
	"slices"
)

// maxRunName keeps subjects short and readable: a run's name is in every one of them.
const maxRunName = 32

// Validate says everything that is wrong with a run.
func (r Run) Validate() error { return r.validate(func(string) string { return "" }) }

func (r Run) validate(place func(path string) string) error {
	v := check{place: place}
	v.runName(r.Name)
	v.source("questions", r.Questions)
	v.evaluation(r.Evaluation)
	v.search(r.Search)
	v.trainable(r)
	v.tools(r.Tools)
	v.limits(r.Limits)
	v.policy(r.Policy)
	if r.AsksJudge() {
		v.model("judge", r.Judge)
	}
	v.judging(r.Judging)
	v.rankers(r)
	v.strategy(r)
	v.grow(r.Grow)
	v.targets(r.Targets)
	v.deploy(r)
	v.gate(r.Gate)
	v.atLeast("generations", r.Generations, 0)
	v.atLeast("plateau", r.Plateau, 1)
	v.budgets(r.Budgets)
	v.prices(r)
	return v.wrong.err()
}

func (v *check) atLeast(path string, n, least int) {
	if n < least {
		v.add(path, fmt.Sprintf("want a whole number from %d, not %d", least, n), "")
	}
}

func (v *check) within(path string, x, low, high float64) {
	if !(x >= low && x <= high) { // also NaN
		v.add(path, fmt.Sprintf("want a number from %g to %g, not %g", low, high, x), "")
	}
}

func (v *check) given(path, value, fix string) {
	if value == "" {
		v.add(path, "missing", fix)
	}
}

func (v *check) runName(name string) {
	switch {
	case name == "":
	case !IsToken(name):
		v.add("name", fmt.Sprintf("%q is no name of a run", name), "use a-z, 0-9 and dashes, or leave it out")
	case len(name) > maxRunName:
		v.add("name", fmt.Sprintf("%q has %d characters, %d are allowed", name, len(name), maxRunName), "shorten it")
	}
}

func (v *check) source(path string, s Source) {
	v.given(path+".path", s.Path, "name a file, a URL or an s3:// object with the questions")
	v.noPassword(path+".path", s.Path, fetchYourself)
	if s.Name != "" && !IsToken(s.Name) {
		v.add(path+".name", fmt.Sprintf("%q is no name", s.Name), "use a-z, 0-9 and dashes, such as "+Token(s.Name))
	}
	v.atLeast(path+".limit", s.Limit, 0)
}

func (v *check) evaluation(e Evaluation) {
	v.source("evaluation.set", e.Set)
	if e.Locked != nil {
		v.source("evaluation.locked", *e.Locked)
		if e.Locked.Name == e.Set.Name {
			v.add("evaluation.locked.name", "the locked set has the name of the evaluation set", "give it a name of its own")
		}
	}
	v.atLeast("evaluation.repetitions", e.Repetitions, 1)
	v.looks(e)
	v.wants("evaluation.judge", IsToken(e.Judge), "a judge's name, such as llm")
}

func (v *check) looks(e Evaluation) {
	if len(e.Looks) == 0 {
		return
	}
	if e.Looks[0] < 1 || !slices.IsSorted(e.Looks) || len(slices.Compact(slices.Clone(e.Looks))) < len(e.Looks) {
		v.add("evaluation.looks", fmt.Sprintf("%v do not rise", e.Looks), "each look has more repetitions than the one before, from 1")
	} else if last := e.Looks[len(e.Looks)-1]; last != e.Repetitions {
		v.add("evaluation.looks", fmt.Sprintf("the last look is at %d repetitions, but there are %d", last, e.Repetitions), "end the looks with evaluation.repetitions")
	}
}

// What to do about a password in a URL.
const (
	keyByFile     = "put the key into a file: llm.key_file or llm.key_files"
	fetchYourself = "download it first, and name the file"
)

func (v *check) limits(l Limits) {
	v.wants("limits.call", l.Call > 0, "a time greater than 0")
	v.wants("limits.search", l.Search > 0, "a time greater than 0")
	v.wants("limits.trajectory", l.Trajectory > 0, "a time greater than 0")
}

func (v *check) model(path string, m Model) {
	v.wants(path+".endpoint", httpURL(m.Endpoint), "the base URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1")
	v.noPassword(path+".endpoint", m.Endpoint, keyByFile)
	v.given(path+".model", m.Model, "name the model as the server lists it in /v1/models")
	v.oneOf(path+".api", m.API, APICompletions, APIChat)
	v.atLeast(path+".max_tokens", m.MaxTokens, 1)
	v.atLeast(path+".context", m.Context, 0)
	v.endpoints(path, m)
}

const maxTemperature = 2 // what the OpenAI API and vLLM accept

func (v *check) policy(p Policy) {
	v.model("policy", p.Model)
	v.oneOf("policy.rendering", p.Rendering, RenderingFewShot, RenderingBare)
	v.atLeast("policy.shots", p.Shots, 0)
	v.atLeast("policy.candidates", p.Candidates, 1)
	v.within("policy.temperature", p.Temperature, 0, maxTemperature)
	v.atLeast("policy.resamples", p.Resamples, 0)
	v.oneOf("policy.decoding", cmp.Or(p.Decoding, DecodingFree), DecodingFree, DecodingGrammar)
}

func (v *check) rankers(r Run) {
	v.tokens("rankers", r.Rankers)
	if len(r.Rankers) == 0 {
		v.add("rankers", "no ranker", "name at least one: llm, perplexity, or a plug-in's")
	} else if !slices.Contains(r.Rankers, r.Strategy.Ranker) {
		v.add("strategy.ranker", fmt.Sprintf("%q is not among the rankers", r.Strategy.Ranker), "add it to rankers, or choose one of them")
	}
}

func (v *check) strategy(r Run) {
	s := r.Strategy
	v.oneOf("strategy.name", s.Name, StrategyReSTReAct, StrategyRaft, StrategyReST, StrategyStar)
	v.atLeast("strategy.per_question", s.PerQuestion, 0)
	v.thresholds(s)
	if s.Name == StrategyStar && s.Labels == nil {
		v.add("strategy.labels", "star keeps what ends in a right answer and needs labels", "name the set with the pool's answers")
	}
	if s.Labels != nil {
		v.source("strategy.labels", *s.Labels)
		if s.Labels.Name != r.Questions.Name {
			v.add("strategy.labels.name", fmt.Sprintf("%q is not the pool's name %q", s.Labels.Name, r.Questions.Name), "give both the same name, so that their questions match")
		}
	}
}

func (v *check) thresholds(s Strategy) {
	if s.Name == StrategyReST && len(s.Thresholds) == 0 {
		v.add("strategy.thresholds", "rest needs thresholds", "name one per improve step, such as [0.5, 0.7]")
	}
	for _, t := range s.Thresholds {
		v.within("strategy.thresholds", t, 0, 1)
	}
	if !slices.IsSorted(s.Thresholds) {
		v.add("strategy.thresholds", fmt.Sprintf("%v do not rise", s.Thresholds), "each improve step is at least as strict as the one before")
	}
}

func (v *check) grow(g Grow) {
	if len(g.Samples) == 0 {
		v.add("grow.samples", "empty", "name the samples per question of each generation, such as [1]")
	}
	for _, n := range g.Samples {
		v.atLeast("grow.samples", n, 1)
	}
	v.within("grow.temperature", g.Temperature, 0, maxTemperature)
}

func (v *check) targets(targets []Target) {
	var names []string
	for i, t := range targets {
		path := fmt.Sprintf("targets[%d]", i)
		if i == 0 && t.Name != OwnTarget {
			v.add(path+".name", fmt.Sprintf("the first target is %q", t.Name), "name it own: it is the one that grows and may be promoted")
		}
		v.wants(path+".name", IsToken(t.Name), "a name of a-z, 0-9 and dashes")
		if slices.Contains(names, t.Name) {
			v.add(path+".name", fmt.Sprintf("a second target %q", t.Name), "rename it")
		}
		names = append(names, t.Name)
		v.given(path+".base", t.Base, "name what training starts from")
		v.oneOf(path+".driver", t.Driver, DriverCommand, DriverKubernetes, DriverOpenAI)
		v.pod(path+".kubernetes", t.Kubernetes, t.Driver == DriverKubernetes)
		v.hosted(path, t)
		if len(t.Command) == 0 && t.Driver != DriverOpenAI {
			v.add(path+".command", "missing", "name the program and its arguments, with {base}, {manifest}, {out}, {target}, {seed}, {generation}")
		}
		v.wants(path+".timeout", t.Timeout > 0, "a time greater than 0")
		v.atLeast(path+".candidates", t.Candidates, 1)
	}
}

func (v *check) gate(g Gate) {
	v.oneOf("gate.rule", g.Rule, RuleBootstrap, RulePaper)
	v.within("gate.level", g.Level, 0.0001, 0.5)
	v.within("gate.margin", g.Margin, 0, 1)
	v.within("gate.target", g.Target, 0, 1)
	const fewest = 100 // below it the tails of a 5 % interval hold no resamples to speak of
	v.atLeast("gate.resamples", g.Resamples, fewest)
}

func (v *check) budgets(b Budgets) {
	v.wants("budgets.calls", b.Calls >= 0, "a number, 0 for none")
	v.wants("budgets.tokens", b.Tokens >= 0, "a number, 0 for none")
	v.wants("budgets.wall", b.Wall >= 0, "a time, 0s for none")
}
