package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// endpoint is what is known about one.
type endpoint struct {
	url     string
	name    string // the URL without a password, for errors and labels
	host    string
	key     string
	circuit *circuit
	// flight bounds the calls in flight, so that none waits for a connection while its own time runs.
	flight chan struct{}

	pace pace
	// load is the requests at work here, whether in flight or waiting; took what a call takes, in nanoseconds; restUntil
	// when it may be chosen again, in Unix nanoseconds; peers who serve the same model.
	load, took, restUntil atomic.Int64
	peers                 atomic.Pointer[[]*endpoint]

	// learning is held by who asks the server for its dialect.
	learning chan struct{}
	dialect  atomic.Pointer[dialect] // nil: not known yet

	mu     sync.Mutex       // guards what follows
	single map[string]bool  // models for which the server ignores n
	scales map[string]scale // of a model's prompts
}

func newEndpoint(u *url.URL, key string, cfg config.LLM) *endpoint {
	return &endpoint{
		url: u.String(), name: u.Redacted(), host: u.Hostname(), key: key,
		flight: make(chan struct{}, max(cfg.Connections, 1)), learning: make(chan struct{}, 1), single: map[string]bool{}, scales: map[string]scale{},
	}
}

// board takes a place among the calls in flight.
func (e *endpoint) board(ctx context.Context) (leave func(), err error) {
	select {
	case e.flight <- struct{}{}:
		return e.leave, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// shrink takes away free places that the endpoint is to have no more.
func (e *endpoint) shrink() {
	for {
		select {
		case e.flight <- struct{}{}:
			if !e.pace.keep() {
				<-e.flight
				return
			}
		default:
			return
		}
	}
}

// leave gives a place back, unless the endpoint is to have fewer.
func (e *endpoint) leave() {
	if !e.pace.keep() {
		<-e.flight
	}
}

func (e *endpoint) isSingle(model string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.single[model]
}

func (e *endpoint) setSingle(model string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.single[model] = true
}

// dialect is what a server must be told beyond the OpenAI interface, or otherwise.
type dialect struct {
	// neutral are the sampling settings that leave the distribution alone, nil where that is the default.
	neutral *neutral
	// completionTokens: max_tokens is called max_completion_tokens in chat.
	completionTokens bool
	// constrain asks for outputs of a grammar, nil where it cannot be asked.
	constrain func(gbnf string) *constraint
	// counts is how the server counts tokens, nil where it cannot be asked.
	counts *counting
	// reserves: a prompt fits only if max_tokens fit behind it. Elsewhere the output ends where the context does.
	reserves bool

	server string // what it says it is
	listed []model
}

type neutral struct {
	TopK int     `json:"top_k"`
	TopP float64 `json:"top_p"`
	MinP float64 `json:"min_p"`
}

// dialects by owned_by of /v1/models. llama.cpp cuts by defaults of its own (top_k 40, top_p 0.95, min_p 0.05), vLLM
// and SGLang by those that the model's authors put into generation_config.json.
var dialects = map[string]dialect{
	"llamacpp": {
		neutral:   &neutral{TopK: 0, TopP: 1, MinP: 0},
		constrain: func(gbnf string) *constraint { return &constraint{Grammar: gbnf} },
		counts:    &counting{text: "content"},
	},
	"vllm": {
		neutral:   &neutral{TopK: -1, TopP: 1, MinP: 0},
		constrain: func(gbnf string) *constraint { return &constraint{StructuredOutputs: &structuredOutputs{gbnf}} },
		counts:    &counting{text: "prompt"},
		reserves:  true,
	},
	"sglang": {
		neutral:   &neutral{TopK: -1, TopP: 1, MinP: 0},
		constrain: func(gbnf string) *constraint { return &constraint{EBNF: gbnf} },
		reserves:  true,
	},
}

// constraint carries a grammar under the name that a server has for it (llama.cpp tools/server/README; vLLM 0.12,
// "Structured Outputs"; SGLang, "Structured Outputs"). All read GBNF: XGrammar, which the last two use, took it over.
type constraint struct {
	Grammar           string             `json:"grammar,omitempty"`
	StructuredOutputs *structuredOutputs `json:"structured_outputs,omitempty"`
	EBNF              string             `json:"ebnf,omitempty"`
}

type structuredOutputs struct {
	Grammar string `json:"grammar"`
}

// dialectOf asks the server what it is, until it has said so once. One that does not say is spoken to in plain OpenAI.
func (c *Client) dialectOf(ctx context.Context, e *endpoint) dialect {
	if e.host == "api.openai.com" {
		return dialect{completionTokens: true}
	}
	if known := e.dialect.Load(); known != nil {
		return *known
	}
	select {
	case e.learning <- struct{}{}:
		defer func() { <-e.learning }()
	case <-ctx.Done():
		return dialect{}
	}
	if known := e.dialect.Load(); known != nil {
		return *known
	}
	list, err := c.models(ctx, e)
	if err != nil && !answers(err) {
		return dialect{} // down; the call will say so, and the next one asks again
	}
	return e.learn(list)
}

// learn tells a dialect by a list of models.
func (e *endpoint) learn(list []model) dialect {
	known := dialect{}
	if i := slices.IndexFunc(list, func(m model) bool { return dialects[m.OwnedBy].neutral != nil }); i >= 0 {
		known = dialects[list[i].OwnedBy]
		known.server = list[i].OwnedBy
	}
	known.listed = list
	e.dialect.Store(&known)
	return known
}

// unconstrained: the server cannot be asked to keep to a grammar, or has not said yet what it is.
func (e *endpoint) unconstrained() error {
	if e.dialect.Load() == nil {
		return &Error{Endpoint: e.name, Kind: KindDown, Err: errors.New("it does not list its models, so it is not known how it is given a grammar")}
	}
	return &Error{Endpoint: e.name, Kind: KindRequest, Err: ErrNoGrammar}
}

// answers: there is a server, although it does not list its models.
func answers(err error) bool {
	var failed *Error
	return errors.As(err, &failed) && (failed.Kind == KindRequest || failed.Kind == KindGarbage)
}

// model is an entry of /v1/models.
type model struct {
	ID      string `json:"id"`
	OwnedBy string `json:"owned_by"`
	// Parent is the model that an adapter of vLLM or SGLang adapts.
	Parent string `json:"parent"`
	// MaxModelLen is the context of vLLM and SGLang, Meta.Context that of a slot of llama.cpp.
	MaxModelLen int64 `json:"max_model_len"`
	Meta        struct {
		Context int64 `json:"n_ctx"`
	} `json:"meta"`
}

// modelsTimeout bounds a list of models: it is a probe.
const modelsTimeout = 5 * time.Second

func (c *Client) models(ctx context.Context, e *endpoint) ([]model, error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.cfg.Timeout, modelsTimeout))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+"/models", nil)
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", e.name, err)
	}
	begin := time.Now()
	body, err := c.do(e, request)
	var list struct {
		Data []model `json:"data"`
	}
	if err == nil {
		if bad := json.Unmarshal(body, &list); bad != nil {
			err = &Error{Endpoint: e.name, Kind: KindGarbage, Status: http.StatusOK, Err: fmt.Errorf("want a list of models, have %q: %w", excerpt(body), bad)}
		}
	}
	return list.Data, attempted(err, 1, time.Since(begin))
}
