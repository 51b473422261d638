package nn

import (
	"context"
	"math"
	"math/rand/v2"
)

// Request asks for N continuations of one prompt.
type Request struct {
	Prompt      []int32
	N           int
	Temperature float64 // 0 is greedy
	MaxTokens   int
	// Seed of sample 0; sample i uses Seed+i, so that N samples are the N single requests with those seeds.
	Seed int64
	// Stop says whether a continuation is complete. It is asked after every token.
	Stop func(tokens []int32) bool
}

// Sample is one continuation.
type Sample struct {
	Tokens []int32
	// Logprobs are natural, at temperature 1: what the model thinks of the token, not how it was drawn.
	Logprobs []float64
	// Stopped is false if the sample was cut off by MaxTokens or by the end of the context.
	Stopped bool
}

// branch is a group of samples that agree so far: what they share is computed once.
type branch struct {
	past    past
	members []int
}

// decoder is the scratch of one request.
type decoder struct {
	pass  pass
	dist  []float32
	draws []float64
}

// Generate samples. The same request gives the same bits, whatever else the model is doing. It ends early, with
// the context's cause, only if ctx does.
func (m *Model) Generate(ctx context.Context, req Request) ([]Sample, error) {
	d, ok := m.scratch.Get().(*decoder)
	if !ok {
		d = &decoder{dist: make([]float32, m.Vocab), draws: make([]float64, m.Vocab)}
	}
	defer m.scratch.Put(d)

	samples := make([]Sample, req.N)
	random := make([]*rand.Rand, req.N)
	root := branch{past: past{layers: make([]memory, m.Layers)}, members: make([]int, req.N)}
	for i := range samples {
		root.members[i] = i
		random[i] = rand.New(rand.NewPCG(uint64(req.Seed)+uint64(i), 0x73616d706c65))
	}
	open := []branch{root}
	for len(open) > 0 {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		b := open[len(open)-1]
		open = open[:len(open)-1]
		m.extend(d, &b, req.Prompt, samples)
		for _, i := range b.members {
			t := draw(d.dist, d.draws, req.Temperature, random[i])
			s := &samples[i]
			s.Tokens = append(s.Tokens, t)
			s.Logprobs = append(s.Logprobs, math.Log(float64(max(d.dist[t], 1e-20))))
			s.Stopped = req.Stop(s.Tokens)
		}
		full := len(b.past.tokens)+1 >= m.Context
		open = append(open, b.split(samples, func(s *Sample) bool {
			return s.Stopped || full || len(s.Tokens) >= req.MaxTokens
		})...)
	}
	return samples, nil
}

// extend runs the branch's newest token (at first the prompt) and leaves the next one's distribution in d.dist.
func (m *Model) extend(d *decoder, b *branch, prompt []int32, samples []Sample) {
	tokens := prompt
	if n := len(b.past.tokens); n > 0 {
		last := samples[b.members[0]].Tokens
		tokens = last[len(last)-1:]
	}
	m.forward(&b.past, &d.pass, tokens, len(b.past.tokens)+len(tokens)-1)
	d.pass.distribution(d.dist, &b.past, 0)
}

// split groups the members that go on by their newest token.
func (b *branch) split(samples []Sample, done func(*Sample) bool) []branch {
	var groups []branch
	newest := func(i int) int32 { t := samples[i].Tokens; return t[len(t)-1] }
next:
	for _, i := range b.members {
		if done(&samples[i]) {
			continue
		}
		for g := range groups {
			if newest(groups[g].members[0]) == newest(i) {
				groups[g].members = append(groups[g].members, i)
				continue next
			}
		}
		groups = append(groups, branch{members: []int{i}})
	}
	for g := range groups {
		if len(groups) == 1 {
			groups[g].past = b.past
		} else {
			groups[g].past = b.past.share()
		}
	}
	return groups
}

// draw picks a token from p sharpened by the temperature; weights is scratch.
func draw(p []float32, weights []float64, temperature float64, r *rand.Rand) int32 {
	best := 0
	for i, v := range p {
		if v > p[best] {
			best = i
		}
	}
	if temperature <= 0 {
		return int32(best)
	}
	var sum float64
	negligible := math.Pow(1e-9, temperature)
	for i, v := range p {
		w := float64(v) / float64(p[best])
		switch {
		case w < negligible:
			w = 0
		case temperature != 1 && w < 1:
			w = math.Pow(w, 1/temperature)
		}
		weights[i] = w
		sum += w
	}
	at := r.Float64() * sum
	for i, w := range weights {
		if at -= w; at < 0 {
			return int32(i)
		}
	}
	return int32(best) // rounding
}
