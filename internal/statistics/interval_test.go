package statistics

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestEstimated: the interval knows clusters, has its level, and is absent where nothing can be said.
func TestEstimated(t *testing.T) {
	t.Parallel()
	if e := Estimated(nil, Ratio); e != nil {
		t.Errorf("of nothing: %v", e)
	}
	if e := Estimated([][]float64{{0, 0}}, Ratio); e != nil {
		t.Errorf("0 of 0: %v", e)
	}
	if e := Estimated([][]float64{{3, 4}}, Ratio); e.Value != 0.75 || e.Interval != nil {
		t.Errorf("of one cluster: %v, %v; want 0.75 without an interval", e.Value, e.Interval)
	}
	// 40 questions, ten answers each that are all right or all wrong, are worth 40 answers and not 400.
	var clustered, single [][]float64
	for i := range 40 {
		right := float64(i % 2)
		clustered = append(clustered, []float64{10 * right, 10})
		for range 10 {
			single = append(single, []float64{right, 1})
		}
	}
	wide, narrow := Estimated(clustered, Ratio), Estimated(single, Ratio)
	if a, b := width(wide), width(narrow); wide.Value != 0.5 || narrow.Value != 0.5 || a < 2.5*b || a > 4*b {
		t.Errorf("clustered %v wide, single %v; want about sqrt(10) times", a, b)
	}
}

func width(e *Estimate) float64 { return e.Interval.High - e.Interval.Low }

// TestCoverage: 95 % intervals of a mean and of kappa hold what is true about 95 times of 100.
func TestCoverage(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	const trials, questions, draws = 100, 40, 999
	mean, kappa := 0, 0
	for range trials {
		var shares, cells [][]float64
		for range questions {
			rate := random.Float64() // mean 0.5
			share, c := []float64{0, 3}, Cells{}
			for range 3 {
				first := random.Float64() < rate
				if first {
					share[0]++
				}
				c.Add(first, first != (random.Float64() < 0.2)) // agrees 0.8 of the time, each half yes: kappa 0.6
			}
			shares, cells = append(shares, share), append(cells, c[:])
		}
		mean += holds(estimated(shares, Ratio, draws), 0.5)
		kappa += holds(estimated(cells, Kappa, draws), 0.6)
	}
	for name, n := range map[string]int{"mean": mean, "kappa": kappa} {
		if share := float64(n) / trials; math.Abs(share-Level) > 0.06 {
			t.Errorf("%s: %v of the intervals hold the truth, want about %v", name, share, Level)
		}
	}
}

func holds(e *Estimate, truth float64) int {
	if e.Interval.Low <= truth && truth <= e.Interval.High {
		return 1
	}
	return 0
}
