package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/llm"
	"github.com/ratchet-rl/ratchet/internal/policy"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// probeTimeout bounds what one endpoint is asked.
const probeTimeout = time.Minute

// lack is what it costs that an endpoint cannot do something, and what to do.
type lack struct{ cost, fix string }

// lacks by capability. What is unknown is told as it is.
var lacks = map[string]lack{
	llm.CanModel:    {cost: "calls may be answered by another model, or by none", fix: "name the model as the server lists it"},
	llm.CanN:        {cost: "a call for each candidate, and its prompt paid for each time", fix: "nothing: the missing ones are asked for in parallel, with seeds of their own; llama.cpp: --parallel of at least the candidates"},
	llm.CanLogprobs: {cost: "the candidate that goes on is the majority's or the first, not the one of the lowest perplexity; ranker perplexity has nothing to rank by", fix: "use completions if the server has them; llama-cpp-python: --logits_all true; vLLM: --max-logprobs"},
	llm.CanBasis:    {cost: "perplexities depend on the temperature: compare them only within one policy", fix: "SGLang: SGLANG_RETURN_ORIGINAL_LOGPROB=1; vLLM: --logprobs-mode raw_logprobs; llama.cpp: leave post_sampling_probs off"},
	llm.CanSeed:     {cost: "a call that is repeated after a crash gives other texts; nothing else, for the journal keeps what was answered", fix: "nothing; SGLang: --enable-deterministic-inference"},
	llm.CanStop:     {cost: "outputs run on to max_tokens, and cannot be read where more follows the end mark", fix: "lower max_tokens, or use another server"},
	llm.CanGrammar:  {cost: "policy.decoding: grammar cannot be used", fix: "nothing for a model that knows the actions; else llama.cpp, vLLM or SGLang"},
	llm.CanCache:    {cost: "it cannot be seen whether repeated prompts are cheap", fix: "vLLM: --enable-prefix-caching --enable-prompt-tokens-details"},
	llm.CanTokenize: {cost: "a prompt that does not fit may only be known once the server has refused it", fix: "nothing where the server refuses long prompts"},
	llm.CanContext:  {cost: "as above; and a server that cuts prompts and says nothing (Ollama) is noticed only by its usage", fix: "say it in the run file: context"},
	llm.CanOtherAPI: {},
	llm.CanLoRA:     {},
}

// forJudge are the capabilities that a judge is asked for.
var forJudge = map[string]bool{llm.CanModel: true, llm.CanAPI: true, llm.CanContext: true}

// endpoints asks every endpoint of the run.
func (d *doctor) endpoints(ctx context.Context) {
	client := llm.New(d.config.LLM, nil, nil)
	defer client.Close()
	start := policy.New(d.run.Policy)
	for i, endpoint := range d.run.Policy.All() {
		name := "policy"
		if i > 0 {
			name = fmt.Sprintf("policy %d", i+1)
		}
		d.endpoint(ctx, client, name, llm.Request{Endpoint: endpoint, Model: start.GetModel(), API: start.GetApi(), Context: start.GetContext()}, nil)
	}
	d.prompts(ctx, client, start)
	if d.run.AsksJudge() {
		api := pb.Api_API_COMPLETIONS
		if d.run.Judge.API == config.APIChat {
			api = pb.Api_API_CHAT
		}
		for _, endpoint := range d.run.Judge.All() {
			d.endpoint(ctx, client, "judge", llm.Request{Endpoint: endpoint, Model: d.run.Judge.Model, API: api}, forJudge)
		}
	}
	if e := d.run.Deploy.Endpoint; len(d.run.Targets) > 0 && e != d.run.Policy.Endpoint {
		d.serves(ctx, client, e)
	}
}

// endpoint asks one, and tells what it cannot; only names those capabilities, nil all.
func (d *doctor) endpoint(ctx context.Context, client *llm.Client, name string, r llm.Request, only map[string]bool) {
	probing, cancel := context.WithTimeout(ctx, min(probeTimeout, time.Until(deadlineOf(ctx))/2))
	defer cancel()
	found, err := client.Probe(probing, r)
	if err != nil {
		fix := "start the server, or correct endpoint, model and api in the run file"
		d.fail(name, err, fix)
		return
	}
	server := found.GetServer()
	if server == "" {
		server = "a server that does not say what it is"
	}
	d.ok(name, "%s at %s: %s, asked with %d calls", r.Model, found.GetEndpoint(), server, found.GetUsage().GetCalls())
	for _, c := range found.GetFound() {
		if only == nil || only[c.GetName()] {
			d.capability(name, c)
		}
	}
}

func (d *doctor) capability(who string, c *pb.Capability) {
	name, lacking := who+" "+c.GetName(), lacks[c.GetName()]
	required := c.GetName() == llm.CanGrammar && d.run.Policy.Decoding == config.DecodingGrammar
	switch {
	case c.GetSupport() == pb.Support_SUPPORT_YES:
		d.ok(name, "%s", c.GetDetail())
	case c.GetSupport() == pb.Support_SUPPORT_UNSPECIFIED:
		d.checks = append(d.checks, check{Name: name, State: checkOK, Found: "unknown: " + c.GetDetail(), Cost: lacking.cost})
	case required:
		d.fail(name, errors.New("no: "+c.GetDetail()), "set policy.decoding to free, or use llama.cpp, vLLM or SGLang")
	case lacking.cost == "":
		d.ok(name, "no: %s", c.GetDetail())
	default:
		d.warn(name, "no: "+c.GetDetail(), lacking.cost, lacking.fix)
	}
}

// prompts counts the longest prompt of a trajectory that has no evidence yet, and says how much is left for that.
func (d *doctor) prompts(ctx context.Context, client *llm.Client, p *pb.Policy) {
	r := llm.Request{Endpoint: p.GetEndpoint(), Model: p.GetModel(), API: p.GetApi(), Context: p.GetContext()}
	for n := range pb.StepKind_name {
		kind := pb.StepKind(n)
		if kind == pb.StepKind_STEP_KIND_UNSPECIFIED {
			continue
		}
		state := agent.NewState("Who?", &pb.Limits{Searches: int32(d.run.Search.Budget), Results: int32(d.run.Search.Results)})
		if prompt := agent.Render(state, kind, p.GetRendering(), int(p.GetShots())); len(prompt) > len(r.Prompt) {
			r.Prompt = prompt
		}
	}
	tokens, exact, err := client.Tokens(ctx, r)
	limit := client.Context(ctx, r)
	if err != nil || limit == 0 {
		return // the endpoint's own lines have said so
	}
	how := "about "
	if exact {
		how = ""
	}
	left := limit - tokens
	found := fmt.Sprintf("%s%d tokens without evidence, %d of context: %d are left", how, tokens, limit, left)
	fix := "fewer shots (policy.shots), rendering: bare for a model that was trained for it, fewer search.results, or a longer context"
	switch need := int64(d.run.Policy.MaxTokens); {
	case left <= 0:
		d.fail("policy prompts", errors.New(found), fix)
	case left < 2*need:
		d.warn("policy prompts", found, "trajectories end with context_overflow: evidence and output have to fit, and no prompt is ever cut", fix)
	default:
		d.ok("policy prompts", "%s", found)
	}
}

// serves looks whether the server of checkpoints answers; what it can is asked once it has one.
func (d *doctor) serves(ctx context.Context, client *llm.Client, endpoint string) {
	models, err := client.Models(ctx, endpoint)
	if err != nil {
		d.fail("deploy", err, "start the server that serves checkpoints, or correct deploy.endpoint")
		return
	}
	d.ok("deploy", "%s answers, %d models", endpoint, len(models))
}

// deadlineOf is when ctx ends; Run has given it an end.
func deadlineOf(ctx context.Context) time.Time {
	at, ok := ctx.Deadline()
	if !ok {
		return time.Now().Add(2 * probeTimeout)
	}
	return at
}
