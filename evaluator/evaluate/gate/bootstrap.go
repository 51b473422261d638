package gate

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/statistics"
)

// interval is the percentile bootstrap interval of the mean of d at 1-alpha. Both ends use the same draws and
// mirrored ranks, so exchanging the arms mirrors it exactly.
func interval(d []float64, alpha float64, resamples int, seed uint64) (low, high float64) {
	rank := int(statistics.Tail(len(d), alpha/2)*float64(resamples+1)) - 1
	if rank < 0 {
		return -1, 1
	}
	means := resampledMeans(d, resamples, seed)
	slices.Sort(means)
	return means[rank], means[len(means)-1-rank]
}

// resampledMeans draws len(d) questions with replacement, resamples times, and keeps the mean of each draw.
func resampledMeans(d []float64, resamples int, seed uint64) []float64 {
	source := rand.NewPCG(seed, uint64(len(d)))
	means := make([]float64, resamples)
	for i := range means {
		means[i] = drawMean(d, source)
	}
	return means
}

// drawMean takes two indices from each 64-bit word, by multiply and shift; the bias is below len(d)/2^32.
func drawMean(d []float64, source *rand.PCG) float64 {
	n := uint64(len(d))
	sum := 0.0
	for left := n; left > 0; left-- {
		word := source.Uint64()
		sum += d[(word>>32)*n>>32]
		if left--; left == 0 {
			break
		}
		sum += d[(word&math.MaxUint32)*n>>32]
	}
	return sum / float64(n)
}
