package statistics

import (
	"math"
	"math/rand/v2"
	"testing"
)

func near(a, b, tolerance float64) bool {
	return math.Abs(a-b) <= tolerance || math.IsNaN(a) && math.IsNaN(b)
}

// TestKappa: the textbook's example (Wikipedia, "Cohen's kappa": 20, 5, 10, 15), and what is undefined.
func TestKappa(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cells           Cells
		accuracy, kappa float64
	}{
		"textbook":     {Cells{20, 5, 10, 15}, 0.7, 0.4},
		"all agree":    {Cells{3, 0, 0, 7}, 1, 1},
		"none agrees":  {Cells{0, 5, 5, 0}, 0, -1},
		"chance":       {Cells{25, 25, 25, 25}, 0.5, 0},
		"always yes":   {Cells{9, 0, 0, 0}, 1, math.NaN()},
		"one says yes": {Cells{9, 1, 0, 0}, 0.9, 0},
		"nothing":      {Cells{}, math.NaN(), math.NaN()},
	} {
		if got := Accuracy(c.cells[:]); !near(got, c.accuracy, 1e-12) {
			t.Errorf("%s: accuracy %v, want %v", name, got, c.accuracy)
		}
		if got := Kappa(c.cells[:]); !near(got, c.kappa, 1e-12) {
			t.Errorf("%s: kappa %v, want %v", name, got, c.kappa)
		}
	}
	var c Cells
	for _, pair := range [][2]bool{{true, true}, {true, false}, {false, true}, {false, true}, {false, false}} {
		c.Add(pair[0], pair[1])
	}
	if c != (Cells{1, 1, 2, 1}) || c.N() != 5 {
		t.Errorf("counted %v", c)
	}
}

func TestTau(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b    []int32
		tau     float64
		defined bool
	}{
		"equal":      {[]int32{3, 1, 2}, []int32{3, 1, 2}, 1, true},
		"reversed":   {[]int32{3, 1, 2}, []int32{2, 1, 3}, -1, true},
		"one swap":   {[]int32{1, 2, 3, 4}, []int32{1, 2, 4, 3}, 2.0 / 3, true},
		"common two": {[]int32{1, 9, 2}, []int32{2, 8, 1}, -1, true},
		"common one": {[]int32{1, 9}, []int32{1, 8}, 0, false},
		"none":       {nil, nil, 0, false},
	} {
		if tau, defined := Tau(c.a, c.b); !near(tau, c.tau, 1e-12) || defined != c.defined {
			t.Errorf("%s: %v, %v; want %v, %v", name, tau, defined, c.tau, c.defined)
		}
	}
}

// TestEven: known values of the chi-square distribution; few picks, exactly; and the test's level where nothing is amiss.
func TestEven(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		picks   [][]float64
		p       float64
		defined bool
	}{
		"even":              {[][]float64{{25, 25, 25, 25}}, 1, true},
		"3.84 at 1 degree":  {[][]float64{{50 + 9.8, 50 - 9.8}}, 0.05, true},
		"two strata add up": {[][]float64{{50 + 9.8, 50 - 9.8}, {30, 30, 30}}, 0.279, true},
		"thin ones wait":    {[][]float64{{50, 50}, {1, 0, 0}}, 1, true},
		"4 of 4 in a slot":  {[][]float64{{4, 0}}, 0.125, true}, // 2 of 16 outcomes
		"one slot":          {[][]float64{{12}}, 0, false},
		"nothing":           {nil, 0, false},
	} {
		if p, defined := Even(c.picks); !near(p, c.p, 0.01) || defined != c.defined {
			t.Errorf("%s: p %v, %v; want %v, %v", name, p, defined, c.p, c.defined)
		}
	}
	random, alarms := rand.New(rand.NewPCG(1, 2)), 0
	for range 2000 {
		picks := [][]float64{make([]float64, 3), make([]float64, 4)}
		for range 60 {
			picks[0][random.IntN(3)]++
			picks[1][random.IntN(4)]++
		}
		if p, _ := Even(picks); p < 0.05 {
			alarms++
		}
	}
	if alarms < 60 || alarms > 140 {
		t.Errorf("%d alarms of 2000 at 5 %%, want about 100", alarms)
	}
}
