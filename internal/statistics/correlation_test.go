package statistics

import (
	"math"
	"testing"
)

func TestCorrelation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name              string
		x, y              []float64
		pearson, spearman float64
		defined           bool
	}{
		{"a line", []float64{1, 2, 3}, []float64{2, 4, 6}, 1, 1, true},
		{"a falling line", []float64{1, 2, 3}, []float64{3, 2, 1}, -1, -1, true},
		{"a curve keeps its ranks", []float64{1, 2, 3, 4}, []float64{1, 8, 27, 64}, 0.9514, 1, true},
		{"ties share a rank", []float64{1, 2, 2, 3}, []float64{1, 2, 3, 4}, 0.9487, 0.9487, true},
		{"no variation", []float64{1, 1, 1}, []float64{1, 2, 3}, 0, 0, false},
		{"one point", []float64{1}, []float64{1}, 0, 0, false},
		{"none", nil, nil, 0, 0, false},
		{"unequal", []float64{1, 2}, []float64{1, 2, 3}, 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			check := func(name string, of func(x, y []float64) (float64, bool), want float64) {
				got, defined := of(c.x, c.y)
				if defined != c.defined || defined && math.Abs(got-want) > 1e-3 {
					t.Errorf("%s: got %v, %v; want %v, %v", name, got, defined, want, c.defined)
				}
			}
			check("Pearson", Pearson, c.pearson)
			check("Spearman", Spearman, c.spearman)
		})
	}
}

func TestMeanStd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		x         []float64
		mean, std float64
	}{{nil, 0, 0}, {[]float64{0.7}, 0.7, 0}, {[]float64{0.6, 0.8}, 0.7, math.Sqrt(0.02)}} {
		if mean, std := MeanStd(c.x); math.Abs(mean-c.mean) > 1e-12 || math.Abs(std-c.std) > 1e-12 {
			t.Errorf("MeanStd(%v) = %v, %v; want %v, %v", c.x, mean, std, c.mean, c.std)
		}
	}
}

// TestSignificance: the figures of the paper fit 11 agents, as far as their two digits go (arXiv 2312.10003, 4.2: Pearson 0.98,
// p 6.6e-8; Spearman 0.83, p 0.0015).
func TestSignificance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r       float64
		n       int
		p       float64
		defined bool
	}{{0.98, 11, 1.3e-7, true}, {0.83, 11, 0.0016, true}, {-0.83, 11, 0.0016, true}, {0, 5, 1, true}, {1, 4, 0, true}, {1, 2, 0, false}} {
		p, defined := Significance(c.r, c.n)
		if defined != c.defined || math.Abs(p-c.p) > 0.2*c.p {
			t.Errorf("r %v of %d: p %v, %v; want about %v, %v", c.r, c.n, p, defined, c.p, c.defined)
		}
	}
}
