package statistics

import (
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// fewest is the expected count per slot from which the chi-square distribution is near enough.
const fewest = 5

// Even tests whether picks are spread evenly over slots: picks[k] counts those among as many slots as it is long. p is
// the chance of a spread as uneven or more; it is undefined without a pick between two slots or more. Picks between
// different numbers of slots are tested apart and added up. Where all are few, the distribution is simulated.
func Even(picks [][]float64) (p float64, defined bool) {
	var many, any [][]float64
	for _, counts := range picks {
		if n := floats.Sum(counts); len(counts) > 1 && n > 0 {
			any = append(any, counts)
			if n/float64(len(counts)) >= fewest {
				many = append(many, counts)
			}
		}
	}
	switch {
	case len(many) > 0:
		freedom := 0
		for _, counts := range many {
			freedom += len(counts) - 1
		}
		return distuv.ChiSquared{K: float64(freedom)}.Survival(distance(many)), true
	case len(any) > 0:
		return simulated(any), true
	}
	return 0, false
}

// distance is the chi-square distance from an even spread.
func distance(picks [][]float64) (sum float64) {
	for _, counts := range picks {
		even := make([]float64, len(counts))
		floats.AddConst(floats.Sum(counts)/float64(len(counts)), even)
		sum += stat.ChiSquare(counts, even)
	}
	return sum
}

// simulated is the share of even spreads that are as far from even.
func simulated(picks [][]float64) float64 {
	seen, further := distance(picks), 1
	random := rand.New(rand.NewPCG(uint64(len(picks)), mostDraws))
	for range mostDraws {
		drawn := make([][]float64, len(picks))
		for i, counts := range picks {
			drawn[i] = make([]float64, len(counts))
			for range int(floats.Sum(counts)) {
				drawn[i][random.IntN(len(counts))]++
			}
		}
		const rounding = 1e-9
		if distance(drawn) >= seen-rounding {
			further++
		}
	}
	return float64(further) / (mostDraws + 1)
}
