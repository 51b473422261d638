package judge

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const stop = "# [END]"

const verdictHead = `"""
Check whether ANSWER implies REF_ANSWER.

ANSWER was written by an agent and may be long; REF_ANSWER is short and right. The check is True if somebody who reads ANSWER as the reply
to ORIGINAL_QUESTION would say REF_ANSWER, whatever the wording, and False if it says something else, is not sure, or does not answer.
"""


def Check_Answer(ORIGINAL_QUESTION: str, ANSWER: str, REF_ANSWER: str) -> bool:
    ...


`

// exemplars teach: implied by a cited yes, the wrong entity, not sure, one fact among several sentences, a refusal.
var exemplars = []struct {
	question, answer, reference, comment string
	right                                bool
}{
	{
		"Is the longest river of France longer than the Thames?",
		"Yes. The Loire is about 1,006 km long [link_id=2], while the Thames has 346 km [link_id=5].", "yes",
		"The answer says yes, and its reasons agree with that.", true,
	},
	{
		"Who directed the film that won the first Academy Award for Best Picture?",
		"The film was directed by Frank Borzage [link_id=3].", "William A. Wellman",
		"The answer names Frank Borzage, who is somebody else than William A. Wellman.", false,
	},
	{
		"In which country was the inventor of the ballpoint pen born?",
		"It is not quite clear; he may have been born in Argentina or in Hungary.", "Hungary",
		"The answer mentions Hungary but does not decide, so it does not imply it.", false,
	},
	{
		"When was the designer of the Eiffel Tower's lifts born?",
		"The lifts of the Eiffel Tower were made by several companies. Those in the north and south pillars came from Otis Brothers, whose founder Elisha Otis was born on August 3, 1811 [link_id=4]. He died in 1861.", "1811",
		"One sentence gives the date of birth as August 3, 1811, so the year 1811 is implied.", true,
	},
	{
		"What is the capital of the country where the company Nokia was founded?",
		"This question is ill-formed, so that it cannot be answered.", "Helsinki",
		"The answer refuses; it names no capital.", false,
	},
}

// VerdictVersion names the judging prompt; it changes with every byte of it.
var VerdictVersion = version("verdict", VerdictPrompt("", "", ""))

// VerdictPrompt asks whether an answer implies the reference.
func VerdictPrompt(question, answer, reference string) string {
	var b strings.Builder
	b.WriteString(verdictHead)
	for i, e := range exemplars {
		writeExample(&b, i+1, e.question, e.answer, e.reference)
		result := "False"
		if e.right {
			result = "True"
		}
		fmt.Fprintf(&b, "# %s\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = %s  %s\n\n\n", e.comment, result, stop)
	}
	writeExample(&b, len(exemplars)+1, question, answer, reference)
	return b.String()
}

func writeExample(b *strings.Builder, n int, question, answer, reference string) {
	line := strings.Repeat("#", 25)
	fmt.Fprintf(b, "%s\n# Example %d:\n%s\nORIGINAL_QUESTION: str = %s\nANSWER: str = %s\nREF_ANSWER: str = %s\n\n",
		line, n, line, quote(question), quote(answer), quote(reference))
}

// quote writes a Python string on one line.
func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(text) + "'"
}

var (
	verdictLine = regexp.MustCompile(`(?mi)^.*\bREF_ANSWER\s*\)\s*(?:==?|->|is)\s*(true|false)\b`)
	bareVerdict = regexp.MustCompile(`(?mi)^[\s*]*(?:(?:answer|result|verdict)[\s*]*:[\s*]*)?(?:=\s*)?(true|false)\b`)
)

var errNoVerdict = errors.New("want a line Check_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = True or = False")

// ParseVerdict reads the judge's True or False and the comments before it. Only the first example counts: a model that
// goes on writes further ones.
func ParseVerdict(text string) (right bool, explanation string, err error) {
	text, _, _ = strings.Cut(spoken(text), stop)
	m := verdictLine.FindStringSubmatchIndex(text)
	if m == nil {
		m = bareVerdict.FindStringSubmatchIndex(text)
	}
	if m == nil {
		return false, "", errNoVerdict
	}
	var comments []string
	for line := range strings.Lines(text[:m[0]]) {
		if comment, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok {
			comments = append(comments, strings.TrimSpace(comment))
		}
	}
	return strings.EqualFold(text[m[2]:m[3]], "true"), cut(strings.Join(comments, " ")), nil
}

func version(name, text string) string {
	sum := sha256.Sum256([]byte(text))
	return name + "@" + hex.EncodeToString(sum[:4])
}
