package reader

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// notice names what is speaking, in every answer.
const notice = "rule-based reader, not a language model"

const (
	seenMark = "Model Can See:"
	endMark  = "# [END]"
)

var outputMark = regexp.MustCompile(`(?m)^.{0,8}Model Output #(\d+):`)

// Answer reads a prompt and answers it.
func Answer(prompt string) string {
	if seen, outputs, ok := readRanking(prompt); ok {
		return rank(seen, outputs)
	}
	if strings.Contains(prompt, "REF_ANSWER") {
		if text, ok := verdict(prompt); ok {
			return text
		}
	}
	return "pocket-judge is a " + notice + ". It ranks the outputs of a search agent (\"" + seenMark +
		"\" ... \"Model Output #1:\" ...) and checks answers against REF_ANSWER, in the language of pocket's worlds; " +
		"it cannot answer anything else."
}

// readRanking takes a ranking prompt apart.
func readRanking(prompt string) (seen string, outputs []string, ok bool) {
	marks := outputMark.FindAllStringSubmatchIndex(prompt, -1)
	if len(marks) == 0 {
		return "", nil, false
	}
	from := strings.LastIndex(prompt[:marks[0][0]], seenMark)
	if from < 0 {
		return "", nil, false
	}
	for i, m := range marks {
		end := len(prompt)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		text, _, _ := strings.Cut(prompt[m[1]:end], endMark) // behind the last output come the instructions
		outputs = append(outputs, text)
	}
	return prompt[from+len(seenMark) : marks[0][0]], outputs, true
}

// rank answers a ranking prompt with its three lines.
func rank(seen string, outputs []string) string {
	judgements := make([]judgement, len(outputs))
	s, ok := ReadState(seen)
	for i, o := range outputs {
		if ok {
			judgements[i] = s.judge(o)
		} else {
			judgements[i] = judgement{0, "the question is not in the language that I read, so the slots keep their order"}
		}
	}
	order := make([]int, len(outputs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(judgements[b].score, judgements[a].score) })

	places := make([]string, len(order))
	for i, o := range order {
		places[i] = fmt.Sprintf("#%d", o+1)
	}
	best := order[0]
	explanation := fmt.Sprintf("Model output #%d is the best: %s.", best+1, judgements[best].reason)
	for _, o := range order[1:] {
		explanation += fmt.Sprintf(" #%d: %s.", o+1, judgements[o].reason)
	}
	return fmt.Sprintf("Explanation: %s (%s)\nAnswer: #%d\nRanking: %s", explanation, notice, best+1, strings.Join(places, " > "))
}

// verdict answers whether ANSWER states REF_ANSWER; the prompt's last ones count, its exemplars come before.
func verdict(prompt string) (string, bool) {
	all := scan(prompt)
	answer, one := last(all, "ANSWER")
	reference, two := last(all, "REF_ANSWER")
	if !one || !two {
		return "", false
	}
	right := states(answer, reference)
	word := map[bool]string{true: "states", false: "does not state"}[right]
	python := map[bool]string{true: "True", false: "False"}[right]
	return fmt.Sprintf("# The answer %s the reference (%s).\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = %s  %s",
		word, notice, python, endMark), true
}

// states says whether the words of the reference occur in the answer, in a row.
func states(answer, reference string) bool {
	words := func(s string) string {
		return " " + strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
			return strings.ContainsRune(" .,?!:;'\"()[]\n", r)
		}), " ") + " "
	}
	return words(reference) != "  " && strings.Contains(words(uncited(answer)), words(reference))
}
