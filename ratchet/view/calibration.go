package view

import (
	"fmt"
	"strings"

	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// Calibration prints a judge beside other measures; f1 is from where on an F1 counts as right.
func Calibration(c history.Calibration, f1 float64, p Paint) string {
	var b strings.Builder
	fmt.Fprintf(&b, "judge of %s: %s answers judged, %s trajectories failed before, %s answers it could not be read on\n",
		p.Bold(Safe(strings.Join(c.Runs, ", "))), Count(c.Answers), Count(c.Failed), Count(c.Unreadable))
	t := Table{Head: []string{"against", "both true", "judge only", "other only", "both false", "agree", "kappa", "questions"}}
	for _, one := range c.Tables {
		with := Safe(one.With)
		if one.With == "F1" {
			with = fmt.Sprintf("F1 >= %g", f1)
		}
		t.Add(with, Count(one.BothTrue), Count(one.JudgeOnly), Count(one.OtherOnly), Count(one.BothFalse),
			percent(one.Accuracy), estimate(one.Kappa), fmt.Sprint(one.Questions))
	}
	b.WriteString(t.Print(p))
	fmt.Fprintf(&b, "mean F1 %s where the judge says True, %s where it says False\n", estimate(c.F1Right), estimate(c.F1Wrong))
	b.WriteString(people(c.People))
	if text := Correlations(c.Policies); text != "" {
		b.WriteString(text)
	} else {
		b.WriteString("too few policies to correlate: three at least, that differ; name other runs too\n")
	}
	b.WriteString("in brackets: 95 % intervals, answers to one question taken together; kappa: 0 is chance, 1 perfect\n")
	return b.String()
}

func people(c *history.People) string {
	if c == nil {
		return ""
	}
	text := fmt.Sprintf("people: %s labels of %s answers, %s of them tied and left out", Count(c.Labels), Count(c.Answers), Count(c.Tied))
	if c.Accuracy != nil {
		text += fmt.Sprintf("; two of them agree on %s, kappa %s", percent(c.Accuracy), estimate(c.Kappa))
	}
	return text + "\n"
}
