package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// chaosLog collects what the courses leave, over many tests.
var chaosLog = flag.String("chaos.log", "", "`file` to which each course of chaos adds a line of JSON")

// tally is what a course of faults leaves.
type tally struct {
	Test   string         `json:"test"`
	Seed   uint64         `json:"seed"`
	Faults map[string]int `json:"faults"`
	// Calls are different ones. Cut is the calls in flight at the faults, of those who were hit. Again and Paid are the
	// policies' calls that were asked, and answered, more than once; Judged the judge's that were answered more than
	// once, where an undisturbed run does not.
	Calls  int `json:"calls"`
	Cut    int `json:"cut"`
	Again  int `json:"asked_again"`
	Paid   int `json:"paid_again"`
	Judged int `json:"judged_again"`
	// Recovery by kind of fault, in seconds; see watch.
	Recovery map[string][]float64 `json:"recovery"`
	// Files and Goroutines are the most that a role has open at the end.
	Files      int     `json:"files"`
	Goroutines int     `json:"goroutines"`
	Seconds    float64 `json:"seconds"`
	Passed     bool    `json:"passed"`
	// mayAgain and mayJudge bound Again and Judged.
	mayAgain, mayJudge int
}

// log adds the tally to the log.
func (y tally) log(t *testing.T) {
	t.Helper()
	line, err := json.Marshal(y)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", line)
	if *chaosLog == "" {
		return
	}
	file, err := os.OpenFile(*chaosLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "%s\n", line); err != nil {
		t.Fatal(err)
	}
}

// tallies of some courses.
type tallies struct{ all []tally }

func (ys *tallies) add(y tally) { ys.all = append(ys.all, y) }

func (ys tallies) faults() (n int) {
	for _, y := range ys.all {
		for _, times := range y.Faults {
			n += times
		}
	}
	return n
}

// String is the table of docs/reliability.md.
func (ys tallies) String() string {
	recovery := map[string][]float64{}
	var sum tally
	passed := 0
	for _, y := range ys.all {
		for kind, seconds := range y.Recovery {
			recovery[kind] = append(recovery[kind], seconds...)
			recovery["all"] = append(recovery["all"], seconds...)
		}
		sum.Calls += y.Calls
		sum.Cut += y.Cut
		sum.Again += y.Again
		sum.Paid += y.Paid
		sum.Judged += y.Judged
		if y.Passed {
			passed++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d courses, %d as undisturbed; %d faults cut off %d of %d calls; asked again: %d of the policies', of which %d had been answered; %d answers of the judge's\n",
		len(ys.all), passed, ys.faults(), sum.Cut, sum.Calls, sum.Again, sum.Paid, sum.Judged)
	fmt.Fprintf(&b, "| %-45s | faults | median | p95 | max |\n|---|---|---|---|---|\n", "recovery, seconds")
	for _, kind := range slices.Sorted(maps.Keys(recovery)) {
		all := slices.Sorted(slices.Values(recovery[kind]))
		at := func(percent int) float64 { return all[(len(all)-1)*percent/100] }
		fmt.Fprintf(&b, "| %-45s | %d | %.1f | %.1f | %.1f |\n", kind, len(all), at(50), at(95), at(100))
	}
	return b.String()
}
