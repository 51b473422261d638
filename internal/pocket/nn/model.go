package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
)

// Shape is a model's size.
type Shape struct {
	Vocab   int `json:"vocab"`
	Dim     int `json:"dim"`
	Layers  int `json:"layers"`
	Heads   int `json:"heads"`
	Hidden  int `json:"hidden"`
	Context int `json:"context"`
}

// Valid says what is wrong with a shape.
func (s Shape) Valid() error {
	if min(s.Vocab, s.Dim, s.Layers, s.Heads, s.Hidden, s.Context) < 1 || s.Dim%s.Heads != 0 || s.Heads > len(slopes) {
		return fmt.Errorf("shape %+v: every size must be positive, at most %d heads, and heads must divide dim", s, len(slopes))
	}
	if max(s.Vocab, s.Dim, s.Layers, s.Hidden, s.Context) > 1<<16 {
		return fmt.Errorf("shape %+v: larger than this implementation is meant for", s)
	}
	return nil
}

// slopes are ALiBi's, one per head: how fast a head's attention falls off with distance.
var slopes = [...]float32{0, .02, .1, .4}

// taps is the width of the causal depthwise convolution.
const taps = 3

// layer is one block's parameters, or their gradients.
type layer struct {
	norm1, conv, query, key, value, out []float32
	norm2, up, down                     []float32
}

// weights is every parameter, as views into one flat vector.
type weights struct {
	embed            []float32
	layers           []layer
	norm, ptrQ, ptrK []float32
	gate             []float32 // dim weights, then the bias
}

// Model is a policy's parameters. It is read-only while it is used; many goroutines may decode from one.
type Model struct {
	Shape
	// Flat holds all parameters in a fixed order; a checkpoint is exactly these numbers.
	Flat    []float32
	w       weights
	scratch sync.Pool // of *decoder
}

// Parameters is the length of Flat.
func (s Shape) Parameters() int {
	n := 0
	s.layout(func(k int) []float32 { n += k; return nil })
	return n
}

// layout asks take for every parameter's vector, in the order of Flat.
func (s Shape) layout(take func(n int) []float32) weights {
	w := weights{embed: take(s.Vocab * s.Dim), layers: make([]layer, s.Layers)}
	d, sq := s.Dim, s.Dim*s.Dim
	for i := range w.layers {
		w.layers[i] = layer{
			norm1: take(d), conv: take(taps * d), query: take(sq), key: take(sq), value: take(sq), out: take(sq),
			norm2: take(d), up: take(d * s.Hidden), down: take(s.Hidden * d),
		}
	}
	w.norm, w.ptrQ, w.ptrK, w.gate = take(d), take(sq), take(sq), take(d+1)
	return w
}

// views cuts a flat vector into the parameters.
func (s Shape) views(flat []float32) weights {
	return s.layout(func(n int) []float32 {
		v := flat[:n:n]
		flat = flat[n:]
		return v
	})
}

// FromFlat makes a model of parameters read from a checkpoint.
func FromFlat(s Shape, flat []float32) (*Model, error) {
	if err := s.Valid(); err != nil {
		return nil, err
	}
	if want := s.Parameters(); len(flat) != want {
		return nil, fmt.Errorf("model of shape %+v has %d parameters, want %d", s, len(flat), want)
	}
	return &Model{Shape: s, Flat: flat, w: s.views(flat)}, nil
}

// New makes a model with random parameters.
func New(s Shape, seed uint64) (*Model, error) {
	if err := s.Valid(); err != nil {
		return nil, err
	}
	m, err := FromFlat(s, make([]float32, s.Parameters()))
	if err != nil {
		return nil, err
	}
	m.init(rand.New(rand.NewPCG(seed, 0x706f636b6574)))
	return m, nil
}

func (m *Model) init(r *rand.Rand) {
	normal := func(v []float32, std float64) {
		for i := range v {
			v[i] = float32(r.NormFloat64() * std)
		}
	}
	ones := func(v []float32) {
		for i := range v {
			v[i] = 1
		}
	}
	dim := 1 / math.Sqrt(float64(m.Dim))
	hidden := 1 / math.Sqrt(float64(m.Hidden))
	normal(m.w.embed, .15)
	for _, l := range m.w.layers {
		ones(l.norm1)
		ones(l.conv[:m.Dim])
		normal(l.conv[m.Dim:], .5)
		normal(l.query, dim)
		normal(l.key, dim)
		normal(l.value, dim)
		normal(l.out, dim/2)
		ones(l.norm2)
		normal(l.up, dim)
		normal(l.down, hidden/2)
	}
	ones(m.w.norm)
	normal(m.w.ptrQ, dim)
	normal(m.w.ptrK, dim)
}

// Clone is an independent copy, to train further.
func (m *Model) Clone() *Model {
	flat := append([]float32(nil), m.Flat...)
	return &Model{Shape: m.Shape, Flat: flat, w: m.views(flat)}
}
