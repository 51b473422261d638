package statistics

import (
	"math"

	"gonum.org/v1/gonum/stat"
)

// Cells are how often two judges of yes and no met, as totals of a Statistic.
type Cells [4]float64

// Cells in their order.
const (
	BothYes = iota
	OnlyFirst
	OnlySecond
	BothNo
)

// Add counts one thing that both have judged.
func (c *Cells) Add(first, second bool) {
	switch {
	case first && second:
		c[BothYes]++
	case first:
		c[OnlyFirst]++
	case second:
		c[OnlySecond]++
	default:
		c[BothNo]++
	}
}

// N is how many things they have judged.
func (c Cells) N() float64 { return c[BothYes] + c[OnlyFirst] + c[OnlySecond] + c[BothNo] }

// Accuracy is the share on which they agree.
func Accuracy(cells []float64) float64 {
	c := Cells(cells)
	return (c[BothYes] + c[BothNo]) / c.N()
}

// Kappa is Cohen's: the share of the agreement left to be had by more than chance. It is undefined where both always say
// the same one thing.
func Kappa(cells []float64) float64 {
	c := Cells(cells)
	first, second := (c[BothYes]+c[OnlyFirst])/c.N(), (c[BothYes]+c[OnlySecond])/c.N()
	chance := first*second + (1-first)*(1-second)
	if chance >= 1 {
		return math.NaN()
	}
	return (Accuracy(cells) - chance) / (1 - chance)
}

// Tau is Kendall's correlation of two orders of the same things, best first. What only one of them ranks is left out; of
// fewer than two things there is none.
func Tau[T comparable](a, b []T) (tau float64, defined bool) {
	place := map[T]int{}
	for i, x := range b {
		place[x] = i
	}
	var x, y []float64
	for i, one := range a {
		if j, both := place[one]; both {
			x, y = append(x, float64(i)), append(y, float64(j))
		}
	}
	if len(x) < 2 {
		return 0, false
	}
	return stat.Kendall(x, y, nil), true
}
