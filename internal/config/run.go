package config

import (
	"cmp"
	"strings"
	"time"
)

// Run describes one self-improvement run: what `ratchet submit run.yaml` reads. Once submitted it never
// changes; it lies in the KV bucket `runs` under <name>.spec as JSON, where every role reads it.
// Paths are as the operator wrote them; `ratchet submit` replaces them by blob URIs (the URI fields) first,
// because no worker can see the operator's disk.
type Run struct {
	// Name of the run, [a-z0-9-], at most 32. Defaults to a word and a hash of the content.
	Name string `yaml:"name" json:"name"`
	// Seed from which every sample's seed derives, together with its identity. Defaults to 1.
	Seed uint64 `yaml:"seed" json:"seed"`
	// Questions is the pool to grow on. Answers in it are never read.
	Questions Source `yaml:"questions" json:"questions"`
	// Evaluation says how a generation is measured.
	Evaluation Evaluation `yaml:"evaluation" json:"evaluation"`
	// Search is the agent's tool.
	Search SearchTool `yaml:"search" json:"search"`
	// Tools that the agent has beside the search: calculator. Each use counts as a search. Defaults to none.
	Tools []string `yaml:"tools" json:"tools,omitempty"`
	// Limits bound one trajectory in time.
	Limits Limits `yaml:"limits" json:"limits"`
	// Policy is generation 0.
	Policy Policy `yaml:"policy" json:"policy"`
	// Judge is the model behind the ranker and the judge named llm.
	Judge Model `yaml:"judge" json:"judge"`
	// Judging asks that model more often, to measure or to steady it. Defaults to one answer each.
	Judging Judging `yaml:"judging" json:"judging,omitzero"`
	// Rankers whose feedback every completed trajectory needs. Defaults to llm.
	Rankers []string `yaml:"rankers" json:"rankers"`
	// Strategy makes the mixture out of trajectories and feedback.
	Strategy Strategy `yaml:"strategy" json:"strategy"`
	// Grow bounds the sampling of trajectories to train on.
	Grow Grow `yaml:"grow" json:"grow"`
	// Targets are the models trained in each generation; the first is "own". None: no training, the run ends
	// with its baseline report, its first generation's mixture and no decision.
	Targets []Target `yaml:"targets" json:"targets"`
	// Deploy says how a checkpoint becomes a policy.
	Deploy Deploy `yaml:"deploy" json:"deploy"`
	// Generations to try. Defaults to 2.
	Generations int `yaml:"generations" json:"generations"`
	// Gate decides promotion.
	Gate Gate `yaml:"gate" json:"gate"`
	// Plateau ends the run after that many generations in a row that were not promoted. Defaults to 1.
	Plateau int `yaml:"plateau" json:"plateau"`
	// Budgets pause a run that has spent them.
	Budgets Budgets `yaml:"budgets" json:"budgets"`
	// Prices of tokens, such as [{of: gpt-5-mini, prompt: 0.25, completion: 2}]: a list of models or endpoints, and what a
	// million tokens of each cost, in one currency. A model's price goes before its endpoint's; what has none costs
	// nothing. Prices are part of the run: what was paid is written down with each result, and stays.
	Prices []Price `yaml:"prices" json:"prices,omitempty"`
}

// Price of a model's tokens.
type Price struct {
	// Of is a model's name or an endpoint's base URL, as the run file names them.
	Of string `yaml:"of" json:"of"`
	// Prompt and Completion are the prices of a million tokens.
	Prompt     float64 `yaml:"prompt" json:"prompt"`
	Completion float64 `yaml:"completion" json:"completion"`
}

// Source is a set of questions: a file, a URL or an s3:// object, in any of METHOD 5's formats.
type Source struct {
	// Name begins the token of each of its questions, [a-z0-9-]. Defaults to the file's stem.
	Name string `yaml:"name" json:"name"`
	// Path as the operator gave it.
	Path string `yaml:"path" json:"path"`
	// Field of the question text, ID and Answer fields, where the tolerant rule does not find them.
	Field       string `yaml:"field" json:"field,omitempty"`
	IDField     string `yaml:"id_field" json:"id_field,omitempty"`
	AnswerField string `yaml:"answer_field" json:"answer_field,omitempty"`
	// Limit takes the first N questions; 0 means all.
	Limit int `yaml:"limit" json:"limit,omitempty"`
	// URI, GoldURI and Count are filled in by submit: JSON lines of questions, and of answers apart.
	URI     string `yaml:"-" json:"uri,omitempty"`
	GoldURI string `yaml:"-" json:"gold_uri,omitempty"`
	Count   int    `yaml:"-" json:"count,omitempty"`
}

// Evaluation of a policy.
type Evaluation struct {
	// Set decides promotion. Held out: the mixture is decontaminated against it.
	Set Source `yaml:"set" json:"set"`
	// Locked is read only by `ratchet report --final`. Optional.
	Locked *Source `yaml:"locked" json:"locked,omitempty"`
	// Repetitions R: trajectories per question. Defaults to 10 (paper, 3.2).
	Repetitions int `yaml:"repetitions" json:"repetitions"`
	// Looks are the planned looks, as repetitions so far, rising, the last being Repetitions. Defaults to one.
	Looks []int `yaml:"looks" json:"looks,omitempty"`
	// Judge whose verdicts count. Defaults to llm.
	Judge string `yaml:"judge" json:"judge"`
}

// SearchTool is the agent's search.
type SearchTool struct {
	// Kind is bm25 (over Corpus), or what to ask at URL: retrieve (a Search-R1 server), searxng, brave, serper,
	// mediawiki, elasticsearch (OpenSearch too) or mcp (a tool of an MCP server). Defaults to bm25.
	Kind string `yaml:"kind" json:"kind"`
	// Corpus is JSON lines of {id, title, contents}: path, URL or s3://.
	Corpus string `yaml:"corpus" json:"corpus,omitempty"`
	// URL of the server. brave and serper have one; mediawiki wants its api.php; mcp without one asks the program of
	// search.mcp_command, which the workers' configuration names.
	URL string `yaml:"url" json:"url,omitempty"`
	// Index of elasticsearch to search in.
	Index string `yaml:"index" json:"index,omitempty"`
	// Fields are the names of title, text and url in that index. Defaults to {title: title, text: contents, url: url}.
	Fields map[string]string `yaml:"fields" json:"fields,omitempty"`
	// Tool of the MCP server. Defaults to the one that it has, or the only one with "search" in its name.
	Tool string `yaml:"tool" json:"tool,omitempty"`
	// Arguments of that tool, with {query} and {results} filled in. Defaults to {query: "{query}"}.
	Arguments map[string]string `yaml:"arguments" json:"arguments,omitempty"`
	// Retention says that the terms of the engine behind searxng, brave, serper or mcp allow its results to be kept: without
	// it they are not cached. Trajectories hold them all the same: `ratchet prune` removes those. Defaults to false.
	Retention bool `yaml:"retention" json:"retention,omitempty"`
	// Trainable says that those terms allow models to be trained on its results: without it a run that would make a
	// mixture is refused, for they would be in it. Defaults to false.
	Trainable bool `yaml:"trainable" json:"trainable,omitempty"`
	// Results is k, what is shown per query. Defaults to 3 (paper, 3.1).
	Results int `yaml:"results" json:"results"`
	// Budget is the searches a trajectory may make. Defaults to 10 (paper, 3.1).
	Budget int `yaml:"budget" json:"budget"`
	// URI is filled in by submit.
	URI string `yaml:"-" json:"uri,omitempty"`
}

// Limits bound one trajectory in time; the number of searches is Search.Budget.
type Limits struct {
	// Call bounds one LLM call, with its retries. Defaults to 5m.
	Call Duration `yaml:"call" json:"call"`
	// Search bounds one search. Defaults to 30s.
	Search Duration `yaml:"search" json:"search"`
	// Trajectory bounds a whole trajectory while its endpoint answers. Defaults to 30m.
	Trajectory Duration `yaml:"trajectory" json:"trajectory"`
}

// Model is a model behind an OpenAI-compatible endpoint.
type Model struct {
	// Endpoint is the base URL with /v1.
	Endpoint string `yaml:"endpoint" json:"endpoint"`
	// Endpoints are several that serve the same model, in place of Endpoint. A call goes to the one that has its prefix in
	// the cache, unless that is busier than the others, or ill.
	Endpoints []string `yaml:"endpoints" json:"endpoints,omitempty"`
	Model     string   `yaml:"model" json:"model"`
	// API is completions or chat. Defaults to completions for a policy, chat for a judge.
	API string `yaml:"api" json:"api"`
	// MaxTokens of one answer. Defaults to 512.
	MaxTokens int `yaml:"max_tokens" json:"max_tokens"`
	// Context is how many tokens a prompt and its answer may have together, for servers that do not say; 0: unknown.
	Context int `yaml:"context" json:"context,omitempty"`
}

// Judging is how often the ranker and the judge named llm ask.
type Judging struct {
	// Votes is the most answers for each ranking and each verdict: the first at temperature 0, the others above it,
	// rankings each in another order. Asking ends as soon as more than half agree, so that 3 costs 2 calls where the
	// first two do. An odd number to 9; 0 is one answer, and a second one if it cannot be read. Defaults to 0.
	Votes int `yaml:"votes" json:"votes,omitempty"`
	// Swap is the share of steps that the ranker is asked about once more, with the outputs in reversed order; it changes
	// no ranking, and `ratchet report` says how often the choice stayed. 0.1 is a call more for every ten steps.
	// Defaults to 0.
	Swap float64 `yaml:"swap" json:"swap,omitempty"`
}

// Policy is a model and how it is asked.
type Policy struct {
	Model `yaml:",inline"`
	// Rendering is few_shot (exemplars and instructions) or bare (state only, for fine-tuned models).
	// Defaults to few_shot.
	Rendering string `yaml:"rendering" json:"rendering"`
	// Shots per step of few_shot; 0 means all 9/6/5/6/5.
	Shots int `yaml:"shots" json:"shots"`
	// Candidates N per step. Defaults to 4.
	Candidates int `yaml:"candidates" json:"candidates"`
	// Temperature of evaluation, and of growing unless Grow says otherwise. Defaults to 0.5 (paper, 3.1).
	Temperature float64 `yaml:"temperature" json:"temperature"`
	// Resamples of a step without a parsable candidate. Defaults to 2.
	Resamples int `yaml:"resamples" json:"resamples"`
	// Decoding is free, or grammar: a server that can (llama.cpp, vLLM, SGLang) lets a token pass only where the output
	// can still become an action. For models that know the actions badly; it costs log-probabilities their meaning
	// where the model wanted something else. Defaults to free,
	// written as nothing, so that runs submitted before there was a choice keep their content and name.
	Decoding string `yaml:"decoding" json:"decoding,omitempty"`
}

// Grow bounds the growing.
type Grow struct {
	// Samples per question in each generation; the last number goes on. Defaults to [1].
	Samples []int `yaml:"samples" json:"samples"`
	// Temperature while growing. Defaults to the policy's.
	Temperature float64 `yaml:"temperature" json:"temperature,omitempty"`
}

// Strategy makes a mixture.
type Strategy struct {
	// Name is rest-react (default), raft, rest or star.
	Name string `yaml:"name" json:"name"`
	// Ranker whose first choice is the target. Defaults to the first of Rankers.
	Ranker string `yaml:"ranker" json:"ranker"`
	// PerQuestion is how many trajectories of a question are used; 0 means all.
	PerQuestion int `yaml:"per_question" json:"per_question,omitempty"`
	// Accumulate also takes the examples of the generations before. Defaults to false (paper, table 3).
	Accumulate bool `yaml:"accumulate" json:"accumulate,omitempty"`
	// Thresholds of `rest`, one per improve step, rising: the share of a trajectory's steps whose default the
	// ranker put first.
	Thresholds []float64 `yaml:"thresholds" json:"thresholds,omitempty"`
	// Labels are the right answers to the pool's questions, which `star` alone needs and nothing else may read.
	// Its name must be the pool's, so that the tokens agree. GoldURI is filled in by submit.
	Labels *Source `yaml:"labels" json:"labels,omitempty"`
}

// Target is a model trained in every generation.
type Target struct {
	// Name is own (the generator's size) or a student's name, [a-z0-9-].
	Name string `yaml:"name" json:"name"`
	// Base is what training starts from: whatever the driver understands.
	Base string `yaml:"base" json:"base"`
	// Driver is command (on the bridge's machine), kubernetes (as a Job in its cluster) or openai (the fine-tuning API, which
	// takes no command). Defaults to command.
	Driver string `yaml:"driver" json:"driver"`
	// Command of the driver, with {base}, {manifest}, {out}, {target}, {seed}, {generation} filled in.
	Command []string `yaml:"command" json:"command,omitempty"`
	// Kubernetes is the pod that the driver kubernetes runs the command in.
	Kubernetes *Pod `yaml:"kubernetes" json:"kubernetes,omitempty"`
	// Endpoint of the driver openai, with /v1. Defaults to https://api.openai.com/v1.
	Endpoint string `yaml:"endpoint" json:"endpoint,omitempty"`
	// Timeout of a job. Defaults to 6 h.
	Timeout Duration `yaml:"timeout" json:"timeout"`
	// Candidates N when this target's policy is evaluated. Defaults to the policy's.
	Candidates int `yaml:"candidates" json:"candidates,omitempty"`
}

// HostedAt is Endpoint or its default.
func (t Target) HostedAt() string {
	return strings.TrimSuffix(cmp.Or(t.Endpoint, "https://api.openai.com/v1"), "/")
}

// Deploy makes a checkpoint a policy.
type Deploy struct {
	// Deployer is static (the endpoint already serves it), vllm-lora (a running vLLM loads it), command (the bridge runs
	// a server for it), kubernetes (a Deployment and a Service in the bridge's cluster do) or openai (the driver openai's
	// endpoint does). Defaults to vllm-lora.
	Deployer string `yaml:"deployer" json:"deployer"`
	// Endpoint that serves checkpoints. Defaults to the policy's; command and kubernetes make their own.
	Endpoint string `yaml:"endpoint" json:"endpoint"`
	// Model is the template of the served name, with {checkpoint}, {target}, {generation}. Static needs it; for command and
	// kubernetes it defaults to {target}-{checkpoint}.
	Model string `yaml:"model" json:"model,omitempty"`
	// Command starts a server that stays in the foreground, with {path} (the checkpoint's folder), {host}, {port}, {model},
	// {checkpoint}, {target}, {generation} filled in. It serves until its generation is neither tried nor promoted. For
	// kubernetes it is optional: without one the image's own entrypoint is given vLLM's arguments.
	Command []string `yaml:"command" json:"command,omitempty"`
	// Kubernetes is the pod that the deployer kubernetes serves with.
	Kubernetes *Pod `yaml:"kubernetes" json:"kubernetes,omitempty"`
	// Ready is a path, such as /health, that answers 200 once the server is ready. Defaults to none: then it is ready when
	// /v1/models lists the model.
	Ready string `yaml:"ready" json:"ready,omitempty"`
	// Timeout is how long a checkpoint may take until it is ready; then the run pauses with the reason. Defaults to 15m,
	// written as nothing, so that runs submitted before there was a choice keep their content and name.
	Timeout Duration `yaml:"timeout" json:"timeout,omitempty"`
	// Rendering of the trained policy. Defaults to bare.
	Rendering string `yaml:"rendering" json:"rendering"`
}

// Owns tells whether the deployer has servers of its own, one for each checkpoint.
func (d Deploy) Owns() bool { return d.Deployer == DeployerCommand || d.Deployer == DeployerKubernetes }

// ReadyWithin is Timeout or its default.
func (d Deploy) ReadyWithin() time.Duration {
	const usual = 15 * time.Minute
	return cmp.Or(time.Duration(d.Timeout), usual)
}

// Pod is what the driver and the deployer kubernetes ask of the cluster. bridge.kubernetes says where.
type Pod struct {
	// Image with the program in it, such as vllm/vllm-openai:v0.11.0.
	Image string `yaml:"image" json:"image"`
	// GPUs of the pod. Defaults to 0.
	GPUs int `yaml:"gpus" json:"gpus,omitempty"`
	// GPU is the resource that GPUs counts. Defaults to nvidia.com/gpu.
	GPU string `yaml:"gpu" json:"gpu,omitempty"`
	// CPU and Memory are requested, as Kubernetes writes them (8, 64Gi); memory is the limit too. Default to the namespace's.
	CPU    string `yaml:"cpu" json:"cpu,omitempty"`
	Memory string `yaml:"memory" json:"memory,omitempty"`
	// Nodes are the labels of the nodes that will do.
	Nodes map[string]string `yaml:"nodes" json:"nodes,omitempty"`
	// Env is set in the pod. A secret does not belong here, but in Secrets.
	Env map[string]string `yaml:"env" json:"env,omitempty"`
	// Secrets are names of Secrets in the namespace, whose keys become environment variables, such as HF_TOKEN. A TrainJob
	// takes none.
	Secrets []string `yaml:"secrets" json:"secrets,omitempty"`
	// Runtime is a ClusterTrainingRuntime of Kubeflow Trainer, such as torch-distributed: then the driver makes a TrainJob
	// and no Job. Defaults to none.
	Runtime string `yaml:"runtime" json:"runtime,omitempty"`
	// Replicas are the nodes of a TrainJob, and the servers behind one Service. Defaults to 1.
	Replicas int `yaml:"replicas" json:"replicas,omitempty"`
}

// Gate decides promotion.
type Gate struct {
	// Rule is bootstrap (paired, over questions) or paper (a higher mean). Defaults to bootstrap.
	Rule string `yaml:"rule" json:"rule"`
	// Level is the error allowed: the chance to promote a policy that is no better. Defaults to 0.05.
	Level float64 `yaml:"level" json:"level"`
	// Margin that must be exceeded, as a difference of accuracy. Defaults to 0.
	Margin float64 `yaml:"margin" json:"margin"`
	// Resamples of the bootstrap. Defaults to 10000.
	Resamples int `yaml:"resamples" json:"resamples"`
	// Target accuracy that ends the run when a promoted policy reaches it; 0 means none.
	Target float64 `yaml:"target" json:"target,omitempty"`
}

// Budgets pause a run; 0 means none. `ratchet resume RUN --calls N` raises one.
type Budgets struct {
	Calls  int64    `yaml:"calls" json:"calls,omitempty"`
	Tokens int64    `yaml:"tokens" json:"tokens,omitempty"`
	Wall   Duration `yaml:"wall" json:"wall,omitempty"`
	// Cost is money, in the currency of Prices, of which it needs at least one.
	Cost float64 `yaml:"cost" json:"cost,omitempty"`
}

// Duration is a time.Duration that reads and prints as 90s, 5m, 2h in YAML and JSON.
type Duration time.Duration

// MarshalText prints it the way time.ParseDuration reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// OwnTarget is the target of the generator's own size.
const OwnTarget = "own"

// LookPlan is the planned looks of an evaluation, as repetitions so far; the last is Repetitions.
func (e Evaluation) LookPlan() []int {
	if len(e.Looks) == 0 {
		return []int{e.Repetitions}
	}
	return e.Looks
}

// SamplesIn is how many trajectories per question generation g grows (g counts from 1).
func (g Grow) SamplesIn(generation int) int {
	return g.Samples[min(generation, len(g.Samples))-1]
}
