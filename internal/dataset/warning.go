package dataset

import (
	"fmt"
	"regexp"
	"strings"
)

// finding is a kind of warning.
type finding int

const (
	textMissing finding = iota
	textTooLong
	textRepeated
	answersIgnored
	answerMissing
	answerMangled
	findings // how many there are
)

var findingText = [findings]string{
	textMissing:    "rows without question text, skipped",
	textTooLong:    fmt.Sprintf("questions over %d KiB, skipped", maxText>>10),
	textRepeated:   "repeated questions, dropped",
	answersIgnored: "rows with answers, not read because a pool is questions only",
	answerMissing:  "rows without an answer, skipped",
	answerMangled:  "answers that look like dates mangled by a spreadsheet, to be compared with their source",
}

// maxExamples of a finding are shown.
const maxExamples = 3

// tally counts what is noteworthy about the rows of a set.
type tally [findings]struct {
	count    int
	examples []string
}

// note counts f for a row; detail is shown beside its place.
func (t *tally) note(f finding, r row, detail string) {
	t[f].count++
	if len(t[f].examples) < maxExamples {
		t[f].examples = append(t[f].examples, strings.TrimSpace(r.place+" "+detail))
	}
}

func (t *tally) lines() []string {
	var lines []string
	for f, found := range t {
		if found.count == 0 {
			continue
		}
		more := ""
		if found.count > len(found.examples) {
			more = ", ..."
		}
		lines = append(lines, fmt.Sprintf("%s: %d (%s%s)", findingText[f], found.count, strings.Join(found.examples, ", "), more))
	}
	return lines
}

func (t *tally) warnings() []Warning {
	var warnings []Warning
	for _, line := range t.lines() {
		warnings = append(warnings, Warning(line))
	}
	return warnings
}

// mangledDate matches what a spreadsheet makes of "April 22, 1904" and the like: 22-Apr-04, 4-Jul, Apr-22.
var mangledDate = regexp.MustCompile(`^(?:\d{1,2}-)?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(?:-\d{1,4})?$`)

func isMangledDate(answer string) bool {
	return strings.Contains(answer, "-") && mangledDate.MatchString(answer)
}
