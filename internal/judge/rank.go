package judge

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	seenMark   = "Model Can See:"
	outputMark = "Model Output #%d:"
)

const rankHead = `You compare outputs of one step of a search agent. Your choice decides what the agent is trained on, so that bad actions
must be kept out.

The agent answers questions by searching. It should give relevant and grounded answers in as few steps as possible; whatever does not
serve that is bad: a search for what is known already, a link that does not help, a summary that leaves out or adds something, an answer
without a source, a check that misses a mistake. If any element of an output (thoughts, comments, query, summary, answer) is empty, it is
automatically bad.

`

const rankTail = `
Choose the best output by these instructions. Assume that the model knows nothing but what stands under "` + seenMark + `". Be specific.
Write exactly three lines:
Explanation: why output #X is the best one
Answer: #X
Ranking: #X > #Y > ...
`

// RankVersion names the ranking prompt; it changes with every byte of it.
var RankVersion = version("rank", rankHead+rankTail)

// RankPrompt asks for a ranking of outputs, given what the model could see.
func RankPrompt(seen string, outputs []string) string {
	var b strings.Builder
	b.WriteString(rankHead + seenMark + "\n" + strings.TrimSpace(seen) + "\n")
	for i, output := range outputs {
		fmt.Fprintf(&b, "\n"+outputMark+"\n%s\n", i+1, strings.TrimSpace(output))
	}
	b.WriteString(rankTail)
	return b.String()
}

var (
	explanationLine = regexp.MustCompile(`(?im)^[\s*]*explanation[\s*]*:[\s*]*(.*)$`)
	answerLine      = regexp.MustCompile(`(?im)^[\s*]*answer[\s*]*:[\s*]*#?(\d+)`)
	rankingLine     = regexp.MustCompile(`(?im)^[\s*]*ranking[\s*]*:(.*)$`)
	markedSlot      = regexp.MustCompile(`#\s*(\d+)`)
	bareSlot        = regexp.MustCompile(`(\d+)`)
)

var errNoRanking = errors.New(`want a line "Ranking: #X > #Y > ..." or "Answer: #X"`)

// ParseRanking reads the three lines: all n slots from 0, best first. Slots that were not listed follow in their order; an
// answer that contradicts the ranking, or a slot that does not exist or stands twice, is an error.
func ParseRanking(text string, n int) (order []int, explanation string, err error) {
	text = spoken(text)
	if m := explanationLine.FindStringSubmatch(text); m != nil {
		explanation = cut(strings.TrimSpace(m[1]))
	}
	if m := rankingLine.FindStringSubmatch(text); m != nil {
		if order, err = readOrder(m[1], n); err != nil {
			return nil, "", err
		}
	}
	if m := answerLine.FindStringSubmatch(text); m != nil {
		best, err := place(nil, m[1], n)
		switch {
		case err != nil:
			return nil, "", err
		case len(order) == 0:
			order = best
		case order[0] != best[0]:
			return nil, "", fmt.Errorf("the answer is #%d but the ranking begins with #%d", best[0]+1, order[0]+1)
		}
	}
	if len(order) == 0 {
		return nil, "", errNoRanking
	}
	for i := range n {
		if !slices.Contains(order, i) {
			order = append(order, i)
		}
	}
	return order, explanation, nil
}

// readOrder reads "#2 > #1 > #3", and "2, 1, 3" too; beside a # other numbers are prose.
func readOrder(line string, n int) (order []int, err error) {
	slots := markedSlot.FindAllStringSubmatch(line, -1)
	if slots == nil {
		slots = bareSlot.FindAllStringSubmatch(line, -1)
	}
	for _, s := range slots {
		if order, err = place(order, s[1], n); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// place appends a slot, as people count.
func place(order []int, digits string, n int) ([]int, error) {
	i, err := strconv.Atoi(digits)
	if err != nil || i < 1 || i > n {
		return nil, fmt.Errorf("output #%s: there are #1 to #%d", digits, n)
	}
	if slices.Contains(order, i-1) {
		return nil, fmt.Errorf("output #%d is ranked twice", i)
	}
	return append(order, i-1), nil
}

// maxExplanation is what is kept of an explanation, in bytes: it is on the bus for ever.
const maxExplanation = 4 << 10

// cut is an explanation, or its beginning.
func cut(text string) string {
	const mark = " ..."
	if len(text) <= maxExplanation {
		return text
	}
	return strings.ToValidUTF8(text[:maxExplanation-len(mark)], "") + mark
}

// spoken is what a model that thinks aloud says at last.
func spoken(text string) string {
	if _, after, ok := strings.Cut(text, "</think>"); ok {
		return after
	}
	return text
}
