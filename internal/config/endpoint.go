package config

import (
	"fmt"
	"math"
	"slices"
)

// All endpoints that serve the model.
func (m Model) All() []string {
	if len(m.Endpoints) > 0 {
		return m.Endpoints
	}
	return []string{m.Endpoint}
}

// fill makes Endpoint the first of several.
func (m *Model) fill() {
	if m.Endpoint == "" && len(m.Endpoints) > 0 {
		m.Endpoint = m.Endpoints[0]
	}
}

func (v *check) endpoints(path string, m Model) {
	path += ".endpoints"
	for i, e := range m.Endpoints {
		v.wants(path, httpURL(e), "base URLs of OpenAI-compatible servers, such as http://127.0.0.1:8000/v1")
		v.noPassword(path, e, keyByFile)
		if slices.Contains(m.Endpoints[:i], e) {
			v.add(path, fmt.Sprintf("%s is named twice", e), "name it once")
		}
	}
	if len(m.Endpoints) > 0 && !slices.Contains(m.Endpoints, m.Endpoint) {
		v.add(path, fmt.Sprintf("endpoint %s is not among them", m.Endpoint), "leave out endpoint where there are endpoints")
	}
}

// NanoPerUnit is how costs are counted: in billionths of the currency, so that sums are exact in any order.
const NanoPerUnit = 1e9

// tokensPerPrice is how many tokens a price is of.
const tokensPerPrice = 1e6

// Cost of a model's tokens at an endpoint, in billionths of the currency; 0 for a model without a price.
func (r Run) Cost(endpoint, model string, prompt, completion int64) int64 {
	price := r.price(endpoint, model)
	return int64(math.Round((float64(prompt)*price.Prompt + float64(completion)*price.Completion) * (NanoPerUnit / tokensPerPrice)))
}

func (r Run) price(endpoint, model string) Price {
	for _, of := range []string{model, endpoint} {
		if i := slices.IndexFunc(r.Prices, func(p Price) bool { return p.Of == of }); i >= 0 {
			return r.Prices[i]
		}
	}
	return Price{}
}

// maxPrice of a million tokens keeps sums of costs within 63 bits.
const maxPrice = 1e6

func (v *check) prices(r Run) {
	for i, p := range r.Prices {
		path := fmt.Sprintf("prices[%d]", i)
		v.given(path+".of", p.Of, "name the model or the endpoint, as in the run file")
		v.within(path+".prompt", p.Prompt, 0, maxPrice)
		v.within(path+".completion", p.Completion, 0, maxPrice)
		if slices.ContainsFunc(r.Prices[:i], func(q Price) bool { return q.Of == p.Of }) {
			v.add(path+".of", fmt.Sprintf("a second price of %s", p.Of), "keep one")
		}
	}
	v.within("budgets.cost", r.Budgets.Cost, 0, math.MaxInt32)
	if r.Budgets.Cost > 0 && len(r.Prices) == 0 {
		v.add("budgets.cost", "nothing has a price, so that it would never be spent", "say what tokens cost: prices: [{of: MODEL, prompt: 0.25, completion: 2}]")
	}
}
