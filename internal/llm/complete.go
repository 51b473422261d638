package llm

import (
	"context"
	"slices"
	"sync"
	"time"
)

// draft is a response in the making: a place for each choice, in the order of their seeds. What has arrived stays,
// whichever endpoint it came from, so that it is not paid for again.
type draft struct {
	Response

	places []*Choice
}

// missing are the places without a choice.
func (d *draft) missing() []int {
	var all []int
	for i, c := range d.places {
		if c == nil {
			all = append(all, i)
		}
	}
	return all
}

// take puts a reply's choices into places, as far as there are any.
func (d *draft) take(places []int, out Response) {
	d.PromptTokens += out.PromptTokens
	d.CompletionTokens += out.CompletionTokens
	d.Calls += out.Calls
	for i := range min(len(places), len(out.Choices)) {
		d.places[places[i]] = &out.Choices[i]
	}
}

// response is what there is, in order.
func (d *draft) response() Response {
	for _, c := range d.places {
		if c != nil {
			d.Choices = append(d.Choices, *c)
		}
	}
	return d.Response
}

// Complete asks for r.N choices. With an error, the response says what was paid for nevertheless. Of several endpoints
// another is asked for what one has failed to give.
func (c *Client) Complete(ctx context.Context, r Request) (Response, error) {
	pool, err := c.pool(r)
	if err != nil {
		return Response{}, err
	}
	r.N = max(r.N, 1)
	d, tried := &draft{places: make([]*Choice, r.N)}, map[*endpoint]bool{}
	for _, e := range pool {
		c.revive(e)
	}
	for {
		e := choose(pool, r.Affinity, r.tokens(), tried)
		tried[e] = true
		others := slices.ContainsFunc(pool, func(e *endpoint) bool { return !tried[e] && !e.circuit.isOpen() })
		tries := c.cfg.Tries
		if others {
			tries = 1
		}
		err := c.fill(ctx, e, r, d, tries)
		if err == nil || !others || ctx.Err() != nil || !elsewhere(err) {
			return d.response(), err
		}
		e.rest(c.cfg.OpenFor)
		c.log.Debug("another endpoint is asked", "failed", e.name, "error", err)
	}
}

// rest leaves an endpoint alone for a while, if there are others.
func (e *endpoint) rest(d time.Duration) { e.restUntil.Store(time.Now().Add(d).UnixNano()) }

// tokens is about what a call takes of a limit by tokens.
func (r Request) tokens() int64 { return int64(len(r.Prompt))/4 + int64(r.MaxTokens*max(r.N, 1)) }

// fill asks one endpoint for what is missing: at once where it honours n, else one by one.
func (c *Client) fill(ctx context.Context, e *endpoint, r Request, d *draft, tries int) error {
	e.load.Add(1)
	defer e.load.Add(-1)
	if err := c.fits(ctx, e, r); err != nil {
		return err
	}
	missing := d.missing()
	first := len(missing)
	if e.isSingle(r.Model) || missing[first-1]-missing[0] != first-1 {
		first = 1
	}
	seed := r.Seed + int64(missing[0])
	out, err := c.try(ctx, e, r, first, seed, tries)
	if first > 1 && isRequestError(err) { // llama.cpp refuses an n above its slots
		first = 1
		if out, err = c.try(ctx, e, r, 1, seed, tries); err == nil {
			e.setSingle(r.Model)
		}
	}
	if err == nil {
		err = e.whole(r, out)
	}
	if err != nil {
		out.Choices = nil
	}
	d.take(missing[:first], out)
	if err != nil {
		return err
	}
	if len(out.Choices) < first {
		e.setSingle(r.Model)
	}
	return c.topUp(ctx, e, r, d, tries)
}

// topUp asks one by one for the choices that a server did not give: with seeds of their own, because equal seeds
// give equal texts, and after the first, because the server then has the prompt in its cache. One that fails does not end
// the others: they are paid for.
func (c *Client) topUp(ctx context.Context, e *endpoint, r Request, d *draft, tries int) error {
	missing := d.missing()
	more, failures := make([]Response, len(missing)), make([]error, len(missing))
	var asking sync.WaitGroup
	for i, place := range missing {
		asking.Go(func() { more[i], failures[i] = c.try(ctx, e, r, 1, r.Seed+int64(place), tries) })
	}
	asking.Wait()
	var failed error
	for i, place := range missing {
		if failures[i] != nil {
			failed = failures[i]
			more[i].Choices = nil
		}
		d.take([]int{place}, more[i])
	}
	return failed
}
