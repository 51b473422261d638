package nn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
)

// shards is how many parts a batch's gradient is computed in. It is fixed, and the parts are summed in order, so
// that the result does not depend on the number of processors.
const shards = 4

// Recipe of a training: AdamW with warm-up and linear decay.
type Recipe struct {
	Steps int     `json:"steps"`
	Batch int     `json:"batch"`
	Rate  float64 `json:"rate"`
	Seed  uint64  `json:"seed"`
}

const (
	beta1, beta2 = .9, .98
	epsilon      = 1e-8
	decay        = .01 // weight decay, times the rate
	clipNorm     = 1
	warmup       = 20  // steps
	finalRate    = .05 // share of the rate that is left at the last step
)

// Train changes m in place. After every step it calls progress, if not nil, with the steps done and the step's
// mean loss per target token, in nats. It stops between two steps when ctx ends, with its cause; m is then of no use.
func Train(ctx context.Context, m *Model, examples []Example, r Recipe, progress func(step int, loss float64)) error {
	if len(examples) == 0 {
		return errors.New("train: no examples")
	}
	for i, ex := range examples {
		if err := m.fits(ex); err != nil {
			return fmt.Errorf("train: example %d: %w", i, err)
		}
	}
	t := newTrainer(m)
	order := newOrder(len(examples), r.Seed)
	batch := make([]Example, r.Batch)
	for step := range r.Steps {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for i := range batch {
			batch[i] = examples[order.next()]
		}
		loss := t.step(batch, r.rateAt(step))
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return fmt.Errorf("train: loss is %g at step %d: lower the rate", loss, step)
		}
		if progress != nil {
			progress(step+1, loss)
		}
	}
	return nil
}

// fits says why an example cannot be learnt from.
func (m *Model) fits(ex Example) error {
	switch n := len(ex.Prompt) + len(ex.Completion); {
	case len(ex.Prompt) == 0 || len(ex.Completion) == 0:
		return errors.New("prompt or completion is empty")
	case n > m.Context:
		return fmt.Errorf("%d tokens, the context holds %d", n, m.Context)
	}
	return nil
}

func (r Recipe) rateAt(step int) float32 {
	if step < warmup {
		return float32(r.Rate * float64(step+1) / warmup)
	}
	done := float64(step-warmup) / float64(max(r.Steps-warmup, 1))
	return float32(r.Rate * (1 - float64((1-finalRate)*done)))
}

// order deals the examples in shuffled epochs.
type order struct {
	random *rand.Rand
	deck   []int
	at     int
}

func newOrder(n int, seed uint64) *order {
	o := &order{random: rand.New(rand.NewPCG(seed, 0x6f72646572)), deck: make([]int, n), at: n}
	for i := range o.deck {
		o.deck[i] = i
	}
	return o
}

func (o *order) next() int {
	if o.at == len(o.deck) {
		o.random.Shuffle(o.at, func(i, j int) { o.deck[i], o.deck[j] = o.deck[j], o.deck[i] })
		o.at = 0
	}
	o.at++
	return o.deck[o.at-1]
}

// trainer is AdamW's state.
type trainer struct {
	m            *Model
	parts        [shards]*grads
	losses       [shards]float64
	mean, square []float32
	bias1, bias2 float64 // beta**step
}

func newTrainer(m *Model) *trainer {
	t := &trainer{m: m, mean: make([]float32, len(m.Flat)), square: make([]float32, len(m.Flat)), bias1: 1, bias2: 1}
	for i := range t.parts {
		t.parts[i] = newGrads(m.Shape)
	}
	return t
}

func (t *trainer) step(batch []Example, rate float32) (loss float64) {
	targets := 0
	for _, ex := range batch {
		targets += len(ex.Completion)
	}
	scale := 1 / float32(targets)
	var wg sync.WaitGroup
	for s := range shards {
		lo, hi := s*len(batch)/shards, (s+1)*len(batch)/shards
		wg.Go(func() { t.losses[s] = t.parts[s].learnAll(t.m, batch[lo:hi], scale) })
	}
	wg.Wait()
	for _, l := range t.losses {
		loss += l
	}
	t.update(t.sum(), rate)
	return loss / float64(targets)
}

func (g *grads) learnAll(m *Model, part []Example, scale float32) (loss float64) {
	clear(g.flat)
	for _, ex := range part {
		loss += g.learn(m, ex, scale)
	}
	return loss
}

// sum adds the shards' gradients in their order.
func (t *trainer) sum() []float32 {
	total := t.parts[0].flat
	for _, p := range t.parts[1:] {
		axpy(total, 1, p.flat)
	}
	return total
}

// update is one step of AdamW with the gradient clipped by its norm.
func (t *trainer) update(grad []float32, rate float32) {
	t.bias1 *= beta1
	t.bias2 *= beta2
	norm := math.Sqrt(float64(dot(grad, grad)))
	clip := float32(min(1, clipNorm/max(norm, 1e-12)))
	c1, c2 := float32(1/(1-t.bias1)), float32(1/(1-t.bias2))
	for i, g := range grad {
		g *= clip
		t.mean[i] = float32(beta1*t.mean[i]) + float32((1-beta1)*g)
		t.square[i] = float32(beta2*t.square[i]) + float32(float32((1-beta2)*g)*g)
		step := t.mean[i] * c1 / (float32(math.Sqrt(float64(float32(t.square[i]*c2)))) + epsilon)
		t.m.Flat[i] -= float32(rate * (step + float32(decay*t.m.Flat[i])))
	}
}
