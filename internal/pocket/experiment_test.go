package pocket

import (
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/pocket/trial"
)

func score(right float64, questions int) trial.Score {
	s := trial.Score{Right: right, Draft: right, ByQuestion: make([]float64, questions)}
	for i := range s.ByQuestion {
		if float64(i) < right*float64(questions) {
			s.ByQuestion[i] = 1
		}
	}
	return s
}

func TestExperimentTable(t *testing.T) {
	t.Parallel()
	control := score(.41, 100)
	r := trial.Result{
		Scores: []trial.Score{score(.4, 100), score(.6, 100), score(.61, 100)}, Control: &control,
		Mixtures: []trial.Mixture{{Examples: 10, Distinct: 1.5, Changed: .2}, {Examples: 10, Distinct: 1.1, Changed: .05}},
	}
	var out strings.Builder
	columns := [][]float64{writeRow(&out, 7, r, 90*time.Second), {.2, .2, .4, .5}}
	writeMeans(&out, columns)
	want := "7\t40.0\t41.0\t60.0*\t61.0\t40.0 > 61.0\t0.0\t1.50 1.10\t20.0% 5.0%\t90\n" +
		"mean\t30.0±14.1\t30.5±14.8\t50.0±14.1\t55.5±7.8\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
