package judge

import (
	"strings"
	"unicode"
)

// punctuation is what SQuAD's evaluation drops: Python's string.punctuation, ASCII only.
const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

// Normalize is the normalization of SQuAD's evaluation script: lower case, no ASCII punctuation, no articles, single
// blanks.
func Normalize(text string) string {
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune(punctuation, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
	var words []string
	for _, word := range strings.Fields(text) {
		if word != "a" && word != "an" && word != "the" {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// ExactMatch is true if the answer equals one of the gold answers, normalized.
func ExactMatch(answer string, gold []string) bool {
	for _, g := range gold {
		if Normalize(answer) == Normalize(g) {
			return true
		}
	}
	return false
}

// Contains is true if a gold answer's words stand in the answer, in a row. Long answers rarely match exactly.
func Contains(answer string, gold []string) bool {
	in := " " + Normalize(answer) + " "
	for _, g := range gold {
		if want := Normalize(g); want != "" && strings.Contains(in, " "+want+" ") {
			return true
		}
	}
	return false
}

// F1 is the best F1 of words over the gold answers, in [0, 1]. A yes, no or noanswer must match whole.
func F1(answer string, gold []string) float64 {
	best := 0.0
	for _, g := range gold {
		best = max(best, f1(Normalize(answer), Normalize(g)))
	}
	return best
}

func f1(answer, gold string) float64 {
	if closed(answer) || closed(gold) {
		if answer == gold {
			return 1
		}
		return 0
	}
	have, want := strings.Fields(answer), strings.Fields(gold)
	left := map[string]int{}
	for _, word := range want {
		left[word]++
	}
	common := 0
	for _, word := range have {
		if left[word] > 0 {
			left[word]--
			common++
		}
	}
	if common == 0 {
		return 0
	}
	precision, recall := float64(common)/float64(len(have)), float64(common)/float64(len(want))
	return 2 * precision * recall / (precision + recall)
}

// closed answers are right or wrong as a whole (HotpotQA's evaluation script).
func closed(answer string) bool { return answer == "yes" || answer == "no" || answer == "noanswer" }
