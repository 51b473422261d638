package view

import (
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/statistics"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

func about(value, low, high float64) *statistics.Estimate {
	return &statistics.Estimate{Value: value, Interval: &statistics.Interval{Low: low, High: high}}
}

func fullJudging() history.Judging {
	uneven := 1e-7
	return history.Judging{
		Rankers: []history.Ranker{
			{
				Name: "llm", Model: "rater-32b", Ranked: 1000, Single: 80, Fallback: 20, Even: &uneven,
				Slots: []history.Slot{{Picked: 480, Fair: 300}, {Picked: 260, Fair: 300}, {Picked: 180, Fair: 250}, {Picked: 80, Fair: 150}},
				Swap:  &history.Swap{Asked: 104, Unreadable: 4, Same: about(0.71, 0.62, 0.8)}, Unanimous: about(0.55, 0.5, 0.6),
			},
			{Name: "perplexity", Ranked: 1020, Single: 80},
		},
		Pairs:     []history.RankerPair{{A: "llm", B: "perplexity", Steps: 1000, Tau: about(0.31, 0.28, 0.34), Same: about(0.44, 0.41, 0.47)}},
		Unanimous: about(0.92, 0.9, 0.94),
		Kappas:    []history.Kappa{{Generation: 0, Target: "own", Kappa: about(0.61, 0.5, 0.7)}},
		Policies:  []history.Correlation{{With: "exact_match", Policies: 4, Pearson: &history.Coefficient{R: 0.98, P: 0.02}}, {With: "f1", Policies: 4}},
	}
}

func hostileJudging() history.Judging {
	j := fullJudging()
	j.Rankers[0].Name, j.Rankers[0].Model, j.Pairs[0].A, j.Policies[0].With = hostile, hostile, hostile, hostile
	return j
}

// TestWarnings: of what chance explains, or what is too small to matter, nobody is warned.
func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		p             float64
		first, second int64
		same          float64
		warnings      int
	}{
		{"even", 1, 500, 500, 0.9, 0},
		{"chance", 0.02, 540, 460, 0.9, 0},
		{"certain but small", 1e-5, 5100, 4900, 0.9, 0},
		{"biased", 1e-9, 650, 350, 0.9, 1},
		{"shaky", 0.5, 500, 500, 0.5, 1},
	} {
		fair := float64(c.first+c.second) / 2
		text := judging(history.Judging{Rankers: []history.Ranker{{
			Name: "llm", Even: &c.p, Slots: []history.Slot{{Picked: c.first, Fair: fair}, {Picked: c.second, Fair: fair}},
			Swap: &history.Swap{Asked: 100, Same: about(c.same, 0, 1)},
		}}}, Paint{})
		if got := strings.Count(text, "warning:"); got != c.warnings {
			t.Errorf("%s: %d warnings, want %d:\n%s", c.name, got, c.warnings, text)
		}
	}
}

func TestCalibration(t *testing.T) {
	t.Parallel()
	table := func(with string) history.Table {
		return history.Table{
			With: with, Questions: 125, BothTrue: 1700, JudgeOnly: 12, OtherOnly: 80, BothFalse: 708,
			Accuracy: about(0.963, 0.95, 0.975), Kappa: about(0.91, -0.001, 0.94),
		}
	}
	c := history.Calibration{
		Runs: []string{"demo-7f3a", "demo-91bc"}, Answers: 2500, Failed: 3, Unreadable: 1, Tables: []history.Table{table("exact match"), table("F1")},
		F1Right: about(0.69, 0.68, 0.7), F1Wrong: about(0.01, 0, 0.02),
		Policies: []history.Correlation{{With: "people", Policies: 11, Pearson: &history.Coefficient{R: 0.98, P: 6.6e-8}, Spearman: &history.Coefficient{R: 0.83, P: 0.0015}}},
	}
	golden(t, "calibration", Calibration(c, 0.5, Paint{}))
	c.Tables, c.Policies = append(c.Tables, table("people")), nil
	c.People = &history.People{Labels: 100, Answers: 60, Tied: 2, Accuracy: about(0.9, 0.8, 0.95), Kappa: &statistics.Estimate{Value: 0.8}}
	golden(t, "calibration-people", Calibration(c, 0.5, Paint{}))
	c.Runs, c.Tables[0].With = []string{hostile}, hostile
	harmless(t, Calibration(c, 0.5, Paint{}))
}
