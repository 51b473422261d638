package statistics

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"
)

// Level is the confidence of intervals.
const Level = 0.95

// Draws of a bootstrap: as many as work allows, counted in clusters drawn, within bounds.
const (
	mostDraws  = 10_000
	leastDraws = 400
	work       = 20_000_000
)

// Estimate is a number and what it may be, were other questions asked.
type Estimate struct {
	Value float64 `json:"value"`
	// Interval is absent where there are too few questions to tell.
	Interval *Interval `json:"interval,omitempty"`
}

// Interval is a confidence interval at Level.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// A Statistic is made of totals; it is NaN where it is undefined.
type Statistic func(totals []float64) float64

// Estimated is the statistic of the totals over clusters, with the percentile interval of a bootstrap that draws whole
// clusters; nil where the statistic is undefined. A cluster is what one question adds to each total.
func Estimated(clusters [][]float64, of Statistic) *Estimate {
	if len(clusters) == 0 {
		return nil
	}
	return estimated(clusters, of, min(max(work/len(clusters), leastDraws), mostDraws))
}

func estimated(clusters [][]float64, of Statistic, draws int) *Estimate {
	value := of(sum(clusters, func(i int) int { return i }))
	if math.IsNaN(value) {
		return nil
	}
	return &Estimate{Value: value, Interval: bootstrap(clusters, of, draws)}
}

func bootstrap(clusters [][]float64, of Statistic, draws int) *Interval {
	n := len(clusters)
	random := rand.New(rand.NewPCG(uint64(n), uint64(draws)))
	var all []float64
	for range draws {
		if x := of(sum(clusters, func(int) int { return random.IntN(n) })); !math.IsNaN(x) {
			all = append(all, x)
		}
	}
	rank := int(Tail(n, (1-Level)/2)*float64(len(all)+1)) - 1
	if rank < 0 {
		return nil
	}
	slices.Sort(all)
	return &Interval{all[rank], all[len(all)-1-rank]}
}

// sum adds up as many clusters as there are, those that pick names.
func sum(clusters [][]float64, pick func(int) int) []float64 {
	totals := make([]float64, len(clusters[0]))
	for i := range clusters {
		floats.Add(totals, clusters[pick(i)])
	}
	return totals
}

// Tail widens a tail probability for n clusters: a percentile interval is too short by the factor sqrt((n-1)/n) and by
// the normal quantile in the place of Student's (Hesterberg 2015, 5.2). Of a single one nothing can be said: 0.
func Tail(n int, p float64) float64 {
	if n < 2 {
		return 0
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(n - 1)}.Quantile(p)
	return distuv.UnitNormal.CDF(t * math.Sqrt(float64(n)/float64(n-1)))
}

// Ratio is the first total in the second.
func Ratio(totals []float64) float64 { return totals[0] / totals[1] }
