package statistics

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// MeanStd is the mean and the sample standard deviation; 0 for what has no numbers to be made of.
func MeanStd(x []float64) (mean, std float64) {
	if len(x) == 0 {
		return 0, 0
	}
	if len(x) == 1 {
		return x[0], 0
	}
	return stat.MeanStdDev(x, nil)
}

// Pearson is the correlation of x and y, of equal length. It is undefined for fewer than two points and where
// one of them does not vary.
func Pearson(x, y []float64) (r float64, defined bool) {
	if len(x) < 2 || len(x) != len(y) {
		return 0, false
	}
	r = stat.Correlation(x, y, nil)
	return r, !math.IsNaN(r)
}

// Spearman is the correlation of the ranks of x and y; ties share the mean of their ranks.
func Spearman(x, y []float64) (rho float64, defined bool) {
	return Pearson(ranks(x), ranks(y))
}

func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case x[a] < x[b]:
			return -1
		case x[a] > x[b]:
			return 1
		}
		return 0
	})
	r := make([]float64, len(x))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && x[order[to]] == x[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			r[i] = float64(from+to+1) / 2
		}
		from = to
	}
	return r
}

// Significance is the chance of a correlation of n points as far from 0 or further where there is none: Student's t, two
// sides. For ranks it is an approximation. It is undefined for fewer than three points.
func Significance(r float64, n int) (p float64, defined bool) {
	if n < 3 {
		return 0, false
	}
	freedom := float64(n - 2)
	t := math.Abs(r) * math.Sqrt(freedom/max(0, 1-r*r))
	return 2 * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: freedom}.Survival(t), true
}
