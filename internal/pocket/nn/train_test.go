package nn

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// copying asks for the token behind the marked one: what the pointer and the convolution are for.
func copying(n int) []Example {
	r := rand.New(rand.NewPCG(8, 9))
	out := make([]Example, n)
	for i := range out {
		p := someTokens(r, 8, 16)
		at := r.IntN(7)
		mark := int32(16 + r.IntN(2))
		out[i] = Example{Prompt: slices.Insert(p, at, mark), Completion: []int32{p[at], 18}}
	}
	return out
}

func trained(t *testing.T, steps int) (*Model, []float64) {
	t.Helper()
	m := tinyModel(t, 2)
	var losses []float64
	r := Recipe{Steps: steps, Batch: 8, Rate: 1e-2, Seed: 4}
	if err := Train(context.Background(), m, copying(3000), r, func(_ int, loss float64) { losses = append(losses, loss) }); err != nil {
		t.Fatal(err)
	}
	return m, losses
}

// A few hundred steps teach a tiny model to point at the token behind a mark, in sequences that it has not seen.
func TestTrainLearns(t *testing.T) {
	t.Parallel()
	m, losses := trained(t, 800)
	first, last := losses[0], losses[len(losses)-1]
	t.Logf("loss %.3f -> %.3f", first, last)
	if last > first/4 {
		t.Errorf("loss went from %.3f to %.3f only", first, last)
	}
	right, fresh := 0, copying(3040)[3000:]
	for _, ex := range fresh {
		s, err := m.Generate(context.Background(), Request{Prompt: ex.Prompt, N: 1, MaxTokens: 2, Stop: func([]int32) bool { return false }})
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(s[0].Tokens, ex.Completion) {
			right++
		}
	}
	if right < len(fresh)*3/4 {
		t.Errorf("%d of %d fresh sequences right", right, len(fresh))
	}
}

// The same bits come out for any number of processors. Not parallel: it changes GOMAXPROCS.
func TestTrainIsDeterministic(t *testing.T) {
	var want []float32
	for _, procs := range []int{1, 2, 4} {
		old := runtime.GOMAXPROCS(procs)
		m, _ := trained(t, 30)
		runtime.GOMAXPROCS(old)
		if want == nil {
			want = m.Flat
		}
		if !slices.Equal(m.Flat, want) {
			t.Errorf("GOMAXPROCS=%d: other parameters than with 1", procs)
		}
	}
}

func TestTrainStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(context.Background())
	stopped := errors.New("enough")
	steps := 0
	err := Train(ctx, tinyModel(t, 1), copying(8), Recipe{Steps: 100, Batch: 2, Rate: 1e-3}, func(step int, _ float64) {
		if steps = step; step == 3 {
			cancel(stopped)
		}
	})
	if !errors.Is(err, stopped) || steps != 3 {
		t.Errorf("stopped after %d steps with %v", steps, err)
	}
}

func TestTrainRefuses(t *testing.T) {
	t.Parallel()
	r := Recipe{Steps: 1, Batch: 1, Rate: 1e-3}
	for name, examples := range map[string][]Example{
		"none":     nil,
		"empty":    {{Prompt: []int32{1}}},
		"too long": {{Prompt: make([]int32, tiny.Context), Completion: []int32{1}}},
	} {
		if err := Train(context.Background(), tinyModel(t, 1), examples, r, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// n samples are n single requests with the seeds that follow, to the bit, however they share their prefixes.
func TestGenerateSharesPrefixes(t *testing.T) {
	t.Parallel()
	m, _ := trained(t, 60)
	req := Request{Prompt: copying(1)[0].Prompt, N: 4, Temperature: 1.3, MaxTokens: 9, Seed: 11, Stop: func(s []int32) bool { return s[len(s)-1] == 18 }}
	together, err := m.Generate(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	distinct := map[int32]bool{}
	for i, want := range together {
		distinct[want.Tokens[0]] = true
		single := req
		single.N, single.Seed = 1, req.Seed+int64(i)
		got, err := m.Generate(context.Background(), single)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[0].Tokens, want.Tokens) || !slices.Equal(got[0].Logprobs, want.Logprobs) || got[0].Stopped != want.Stopped {
			t.Errorf("sample %d: alone %v, together %v", i, got[0], want)
		}
	}
	if len(distinct) == 1 {
		t.Error("all samples began alike: the test shows nothing")
	}
}
