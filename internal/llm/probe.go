package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Names of capabilities.
const (
	CanModel    = "model"        // the endpoint lists the model
	CanAPI      = "api"          // it answers on the API that is asked for
	CanOtherAPI = "other-api"    // and on the other one
	CanN        = "n"            // several choices with one request
	CanLogprobs = "logprobs"     // log-probabilities of the tokens
	CanBasis    = "basis"        // they are the model's own, before temperature
	CanSeed     = "seed"         // equal seeds give equal texts
	CanStop     = "stop"         // a text ends at a stop sequence
	CanGrammar  = "grammar"      // outputs of a grammar
	CanCache    = "prefix-cache" // usage says what of the prompt was in the cache
	CanTokenize = "tokenize"     // it counts a prompt's tokens
	CanContext  = "context"      // it says how long a context may be
	CanLoRA     = "lora"         // it lists adapters
)

// ProbeAffinity is the X-Session-Id of the calls of a probe, by which a server can tell them from a run's.
const ProbeAffinity = "ratchet-probe"

// Probe finds out what an endpoint does with r.Model on r.API, with a dozen calls of a few tokens. What cannot be found
// out, because a call failed or ctx ended, is unknown and says why. An error means that the endpoint did not answer at all.
func (c *Client) Probe(ctx context.Context, r Request) (*pb.Capabilities, error) {
	e, err := c.endpoint(r.Endpoint)
	if err != nil {
		return nil, err
	}
	p := &prober{client: c, e: e, r: r, out: &pb.Capabilities{Endpoint: e.name, Model: r.Model, Api: r.API, Usage: &pb.Usage{}}}
	if list, err := c.models(ctx, e); err == nil {
		e.learn(list) // a checkpoint may have been loaded since
	}
	p.d = c.dialectOf(ctx, e)
	p.lists(ctx)
	if err := p.answers(ctx); err != nil {
		return p.out, err
	}
	for _, find := range []func(context.Context){p.tokenize, p.otherAPI, p.grammar, p.stop, p.basis, p.seed} { // what is slow comes last
		find(ctx)
	}
	return p.out, nil
}

// prober asks one endpoint about one model.
type prober struct {
	client *Client
	e      *endpoint
	d      dialect
	r      Request
	out    *pb.Capabilities
}

func (p *prober) note(name string, support pb.Support, format string, args ...any) {
	p.out.Found = append(p.out.Found, &pb.Capability{Name: name, Support: support, Detail: fmt.Sprintf(format, args...)})
}

func (p *prober) unknown(name string, err error) {
	var failed *Error
	if errors.As(err, &failed) { // the endpoint is named already
		err = failed.Err
	}
	p.note(name, pb.Support_SUPPORT_UNSPECIFIED, "%s", excerpt([]byte(err.Error())))
}

func supported(yes bool) pb.Support {
	if yes {
		return pb.Support_SUPPORT_YES
	}
	return pb.Support_SUPPORT_NO
}

// lists reads what the server has said of its models.
func (p *prober) lists(context.Context) {
	p.out.Server = p.d.server
	if len(p.d.listed) == 0 {
		err := errors.New("the server lists no models")
		p.unknown(CanModel, err)
		p.unknown(CanLoRA, err)
	} else {
		p.listed()
	}
	if p.out.Context = p.d.context(p.r.Model); p.out.Context > 0 {
		p.note(CanContext, pb.Support_SUPPORT_YES, "%d tokens", p.out.Context)
	} else {
		p.note(CanContext, pb.Support_SUPPORT_NO, "the server does not say")
	}
}

func (p *prober) listed() {
	var names, adapters []string
	for _, m := range p.d.listed {
		names = append(names, m.ID)
		if m.Parent != "" {
			adapters = append(adapters, m.ID)
		}
	}
	switch {
	case slices.Contains(names, p.r.Model):
		p.note(CanModel, pb.Support_SUPPORT_YES, "one of %d", len(names))
	default:
		p.note(CanModel, pb.Support_SUPPORT_NO, "it lists %s", excerpt([]byte(strings.Join(names, ", "))))
	}
	if len(adapters) > 0 {
		p.note(CanLoRA, pb.Support_SUPPORT_YES, "%s", excerpt([]byte(strings.Join(adapters, ", "))))
	} else {
		p.note(CanLoRA, pb.Support_SUPPORT_UNSPECIFIED, "no adapter is listed; one may be loaded later")
	}
}

// counted is a prompt that any language model goes on with in the same way; it is long enough for a cache to keep.
var counted = func() string {
	var b strings.Builder
	for i := 1; i <= 60; i++ {
		fmt.Fprintf(&b, "%d, ", i)
	}
	return strings.TrimSuffix(b.String(), " ")
}()

// unsure is a prompt that a model goes on with in many ways.
const unsure = "Once upon a time, a"

// likely is a prompt that a model goes on with in one way for the most part.
const likely = "The capital of France is"

// answers asks for two choices: whether there is an API, n, and which log-probabilities.
func (p *prober) answers(ctx context.Context) error {
	two := func(r *Request) { r.N, r.Logprobs = 2, true }
	reply, err := p.ask(ctx, unsure, two)
	support, detail := pb.Support_SUPPORT_NO, ""
	if isRequestError(err) {
		detail = excerpt([]byte(err.Error()))
		reply, err = p.ask(ctx, unsure, func(r *Request) { r.Logprobs = true })
	}
	if isRequestError(err) { // no log-probabilities either
		reply, err = p.ask(ctx, unsure, func(*Request) {})
	}
	if err != nil {
		p.unknown(CanAPI, err)
		return err
	}
	p.note(CanAPI, pb.Support_SUPPORT_YES, "%s", path(p.r.API))
	if n := len(reply.Choices); detail == "" {
		support, detail = supported(n == 2), fmt.Sprintf("%d choices for n = 2", n)
	}
	p.note(CanN, support, "%s", detail)
	if shape := reply.Choices[0].shape(); shape != "" {
		p.note(CanLogprobs, pb.Support_SUPPORT_YES, "%s", shape)
	} else {
		p.note(CanLogprobs, pb.Support_SUPPORT_NO, "none in the reply")
	}
	return nil
}

// seed compares texts of equal and of other seeds.
func (p *prober) seed(ctx context.Context) {
	var texts []string
	for _, seed := range []int64{11, 11, 12, 13} {
		reply, err := p.ask(ctx, unsure, func(r *Request) { r.Seed, r.Temperature, r.MaxTokens = seed, 1, 8 })
		if err != nil {
			p.unknown(CanSeed, err)
			return
		}
		texts = append(texts, reply.Choices[0].text())
	}
	switch {
	case texts[0] != texts[1]:
		p.note(CanSeed, pb.Support_SUPPORT_NO, "equal seeds gave %q and %q", texts[0], texts[1])
	case texts[0] == texts[2] && texts[0] == texts[3]:
		p.note(CanSeed, pb.Support_SUPPORT_UNSPECIFIED, "every seed gave %q", texts[0])
	default:
		p.note(CanSeed, pb.Support_SUPPORT_YES, "equal seeds gave equal texts, now; under load they may not")
	}
}

// stop asks for a text twice, the second time with a word of its own as the stop, and looks what usage says of the cache.
func (p *prober) stop(ctx context.Context) {
	few := func(r *Request) { r.Temperature, r.MaxTokens = 0, 12 }
	free, err := p.ask(ctx, counted, few)
	if err != nil {
		p.unknown(CanStop, err)
		p.unknown(CanCache, err)
		return
	}
	word := middle(free.Choices[0].text())
	again, err := p.ask(ctx, counted, func(r *Request) { few(r); r.Stop = []string{word} })
	if err != nil {
		p.unknown(CanStop, err)
		p.unknown(CanCache, err)
		return
	}
	p.stopped(word, free.Choices[0].text(), again.Choices[0])
	if cached := again.Usage.Details.Cached; cached != nil {
		p.note(CanCache, supported(*cached > 0), "%d of %d prompt tokens of a repeated prompt", *cached, again.Usage.PromptTokens)
	} else {
		p.note(CanCache, pb.Support_SUPPORT_UNSPECIFIED, "usage does not tell")
	}
}

func (p *prober) stopped(word, free string, again probed) {
	text := again.text()
	switch before, after, _ := strings.Cut(free, word); {
	case word == "" || strings.TrimSpace(after) == "":
		p.note(CanStop, pb.Support_SUPPORT_UNSPECIFIED, "the model wrote %q, in which there is nothing to stop at", free)
	case strings.HasSuffix(text, word) && strings.TrimSpace(text) == strings.TrimSpace(before+word):
		p.note(CanStop, pb.Support_SUPPORT_YES, "kept in the text")
	case !strings.Contains(text, word) && again.FinishReason == "stop":
		p.note(CanStop, pb.Support_SUPPORT_YES, "removed from the text, and put back by Ratchet")
	case strings.Contains(text, word):
		p.note(CanStop, pb.Support_SUPPORT_NO, "asked to stop at %q it wrote %q", word, text)
	default:
		p.note(CanStop, pb.Support_SUPPORT_UNSPECIFIED, "asked to stop at %q it wrote %q, finish_reason %q", word, text, again.FinishReason)
	}
}

// middle is a word of a text that others follow, if there is one.
func middle(text string) string {
	words := strings.Fields(text)
	if len(words) == 0 {
		return ""
	}
	return words[(len(words)-1)/2]
}

// sameLogprob is how near two log-probabilities of one token are that the temperature did not change.
const sameLogprob = 0.02

// basis compares one token's log-probability at two temperatures.
func (p *prober) basis(ctx context.Context) {
	at := func(temperature float64, seed int64) (string, float64, error) {
		reply, err := p.ask(ctx, likely, func(r *Request) { r.Temperature, r.MaxTokens, r.Seed, r.Logprobs = temperature, 1, seed, true })
		if err != nil {
			return "", 0, err
		}
		token, value, ok := reply.Choices[0].first()
		if !ok {
			err = errors.New("no log-probabilities")
		}
		return token, value, err
	}
	token, cold, err := at(0.3, 1)
	for seed := int64(2); err == nil && seed < 8; seed++ {
		other, warm, again := at(1, seed)
		switch {
		case again != nil:
			err = again
		case other != token:
		case math.Abs(warm) < sameLogprob && math.Abs(cold) < sameLogprob:
			err = errors.New("the model is too certain to tell")
		case math.Abs(cold-warm) < sameLogprob:
			p.note(CanBasis, pb.Support_SUPPORT_YES, "the model's own, whatever the temperature")
			return
		default:
			p.note(CanBasis, pb.Support_SUPPORT_NO, "after temperature: %.2f at 0.3, %.2f at 1", cold, warm)
			return
		}
	}
	if err == nil {
		err = errors.New("the model did not write the same token at two temperatures")
	}
	p.unknown(CanBasis, err)
}

// grammar asks for the only text that a grammar has.
func (p *prober) grammar(ctx context.Context) {
	if p.d.constrain == nil {
		p.note(CanGrammar, pb.Support_SUPPORT_NO, "the server does not say that it is llama.cpp, vLLM or SGLang")
		return
	}
	const only = "ratchet"
	reply, err := p.ask(ctx, unsure, func(r *Request) { r.Grammar, r.MaxTokens = `root ::= "`+only+`"`, 8 })
	if err != nil {
		p.unknown(CanGrammar, err)
		return
	}
	text := reply.Choices[0].text()
	p.note(CanGrammar, supported(strings.TrimSpace(text) == only), "a grammar of one text gave %q", text)
}

func (p *prober) tokenize(ctx context.Context) {
	if p.d.counts == nil {
		p.note(CanTokenize, pb.Support_SUPPORT_NO, "lengths are estimated from what usage says of earlier prompts")
		return
	}
	n, err := p.client.countTokens(ctx, p.e, p.d, p.r.Model, counted)
	if err != nil {
		p.unknown(CanTokenize, err)
		return
	}
	p.note(CanTokenize, pb.Support_SUPPORT_YES, "%d bytes are %d tokens", len(counted), n)
}

func (p *prober) otherAPI(ctx context.Context) {
	other := pb.Api_API_CHAT
	if p.r.API == other {
		other = pb.Api_API_COMPLETIONS
	}
	_, err := p.ask(ctx, unsure, func(r *Request) { r.API = other })
	switch {
	case isRequestError(err), isNotFound(err):
		p.note(CanOtherAPI, pb.Support_SUPPORT_NO, "%s", excerpt([]byte(err.Error())))
	case err != nil:
		p.unknown(CanOtherAPI, err)
	default:
		p.note(CanOtherAPI, pb.Support_SUPPORT_YES, "%s", path(other))
	}
}

// ask makes one call of at most a few tokens.
func (p *prober) ask(ctx context.Context, prompt string, change func(*Request)) (probeReply, error) {
	r := Request{Model: p.r.Model, API: p.r.API, Prompt: prompt, N: 1, Temperature: 1, MaxTokens: 2, Seed: 7}
	change(&r)
	var reply probeReply
	data, err := encode(r, r.N, r.Seed, p.d)
	if err != nil {
		return reply, err
	}
	leave, err := p.e.board(ctx)
	if err != nil {
		return reply, err
	}
	defer leave()
	body, err := p.client.send(ctx, p.e, p.e.url+path(r.API), ProbeAffinity, data, p.client.cfg.Timeout)
	if err != nil {
		return reply, err
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return reply, &Error{Endpoint: p.e.name, Kind: KindGarbage, Err: fmt.Errorf("want a JSON completion, have %q: %w", excerpt(body), err)}
	}
	if len(reply.Choices) == 0 {
		return reply, &Error{Endpoint: p.e.name, Kind: KindGarbage, Err: fmt.Errorf("%w: %q", errNoChoices, excerpt(body))}
	}
	p.out.Usage.Calls++
	p.out.Usage.PromptTokens += reply.Usage.PromptTokens
	p.out.Usage.CompletionTokens += reply.Usage.CompletionTokens
	return reply, nil
}
