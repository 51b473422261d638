package nn

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

var tiny = Shape{Vocab: 19, Dim: 12, Layers: 2, Heads: 3, Hidden: 10, Context: 64}

func tinyModel(t testing.TB, seed uint64) *Model {
	t.Helper()
	m, err := New(tiny, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func someTokens(r *rand.Rand, n, vocab int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(r.IntN(vocab))
	}
	return out
}

// The hand-written backward pass agrees with differences of the forward pass, for every kind of parameter.
func TestGradientIsNumeric(t *testing.T) {
	t.Parallel()
	m := tinyModel(t, 3)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range m.Flat { // no parameter at a special value
		m.Flat[i] += float32(.05 * r.NormFloat64())
	}
	for i := range m.w.embed { // rows of length about 1: the norm behind them is then nearly straight over h
		m.w.embed[i] *= 6
	}
	ex := Example{Prompt: someTokens(r, 7, m.Vocab), Completion: someTokens(r, 5, m.Vocab)}
	ex.Completion[1] = ex.Prompt[2] // something to point at
	g := newGrads(m.Shape)
	g.learn(m, ex, 1)
	scratch := newGrads(m.Shape)
	lossAt := func(i int, v float32) float64 {
		old := m.Flat[i]
		m.Flat[i] = v
		defer func() { m.Flat[i] = old }()
		return scratch.learn(m, ex, 0)
	}
	bad := 0
	for i := range m.Flat {
		const h = 1e-3
		x := m.Flat[i]
		want := (lossAt(i, x+h) - lossAt(i, x-h)) / (2 * h)
		got := float64(g.flat[i])
		if math.Abs(got-want) > .02+.02*math.Abs(want) {
			bad++
			if bad < 10 {
				t.Errorf("parameter %d: gradient %g, numeric %g", i, got, want)
			}
		}
	}
	t.Logf("%d of %d off", bad, len(m.Flat))
}

// A sample's log-probabilities are minus the loss of learning it, to the bit: one forward pass serves both.
func TestLogprobIsLoss(t *testing.T) {
	t.Parallel()
	m := tinyModel(t, 5)
	prompt := someTokens(rand.New(rand.NewPCG(3, 4)), 9, m.Vocab)
	got, err := m.Generate(context.Background(), Request{
		Prompt: prompt, N: 3, Temperature: .8, MaxTokens: 11, Seed: 6, Stop: func([]int32) bool { return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range got {
		var sum float64
		for _, v := range s.Logprobs {
			sum += v
		}
		loss := newGrads(m.Shape).learn(m, Example{Prompt: prompt, Completion: s.Tokens}, 0)
		if loss != -sum {
			t.Errorf("sample %d: loss %v, log-probability %v", i, loss, sum)
		}
	}
}

func TestExp32(t *testing.T) {
	t.Parallel()
	for x := float32(-90); x <= 0; x += .0137 {
		got, want := float64(exp32(x)), math.Exp(float64(x))
		if math.Abs(got-want) > 3e-7*want && want > 1e-37 {
			t.Fatalf("exp(%g) = %g, want %g", x, got, want)
		}
	}
	if exp32(0) != 1 {
		t.Errorf("exp(0) = %g", exp32(0))
	}
}

func BenchmarkTrain(b *testing.B) {
	m, _ := New(Shape{Vocab: 560, Dim: 64, Layers: 2, Heads: 4, Hidden: 128, Context: 512}, 1)
	r := rand.New(rand.NewPCG(1, 1))
	tr := newTrainer(m)
	batch := make([]Example, 8)
	for i := range batch {
		batch[i] = Example{someTokens(r, 100, 560), someTokens(r, 12, 560)}
	}
	for b.Loop() {
		tr.step(batch, 1e-4)
	}
	b.ReportMetric(float64(b.N*8*112)/b.Elapsed().Seconds(), "tokens/s")
}

func BenchmarkDecode(b *testing.B) {
	m, _ := New(Shape{Vocab: 560, Dim: 64, Layers: 2, Heads: 4, Hidden: 128, Context: 512}, 1)
	r := rand.New(rand.NewPCG(1, 1))
	prompt := someTokens(r, 100, 560)
	for b.Loop() {
		if _, err := m.Generate(context.Background(), Request{Prompt: prompt, N: 4, Temperature: 1, MaxTokens: 12, Seed: 1, Stop: func([]int32) bool { return false }}); err != nil {
			b.Fatal(err)
		}
	}
}
