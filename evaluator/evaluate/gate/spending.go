package gate

import (
	"errors"
	"fmt"
)

// Spend shares the level among the planned looks, given as repetitions so far, rising: look k may spend
// level*(t(k)^3 - t(k-1)^3), where t is the fraction of the last look's repetitions. The shares sum to level.
func Spend(level float64, looks []int) ([]float64, error) {
	if len(looks) == 0 {
		return nil, errors.New("no look is planned: expected at least one")
	}
	alphas := make([]float64, len(looks))
	last := float64(looks[len(looks)-1])
	before, spent := 0, 0.0
	for k, repetitions := range looks {
		if repetitions <= before {
			return nil, fmt.Errorf("planned looks %v: expected rising repetitions, each at least 1", looks)
		}
		t := float64(repetitions) / last
		alphas[k] = level * (t*t*t - spent)
		before, spent = repetitions, t*t*t
	}
	return alphas, nil
}
