package dataset

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The names that are looked for, in this order. Dots lead into objects and lists.
var (
	questionKeys = []string{"question", "Question", "query", "title", "extra_info.question", "prompt.0.content"}
	answerKeys   = []string{
		"golden_answers", "answers", "answer", "Answer",
		"reward_model.ground_truth.target", "reward_model.ground_truth", "possible_answers",
	}
	idKeys = []string{"id", "_id", "q_id", "query_id", "question_id", "QuestionId"}
	// valueKeys are where an answer that is an object keeps its texts: ELI5, TriviaQA, Search-R1.
	valueKeys = []string{"text", "value", "Value", "target", "aliases", "Aliases", "normalized_aliases", "NormalizedAliases"}
)

// aliasKey holds further answers beside `answer` in MuSiQue.
const aliasKey = "answer_aliases"

// row is a row of a set before it is known what its fields mean.
type row struct {
	place  string // file:line
	index  int    // from 0
	fields map[string]any
}

// questionText is the text in the field named, else in the first of questionKeys that is there.
func questionText(r row, named string) (string, error) {
	keys := namedOr(named, questionKeys)
	if named == "" && isPassage(r.fields) {
		keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return key == "title" })
	}
	key, value := first(r.fields, keys)
	if key == "" {
		return "", missing(r, "question text", "field", named, questionKeys[:4])
	}
	text, ok := scalar(value)
	if !ok {
		return "", &Error{
			Place: r.place, Problem: fmt.Sprintf("field %q is no text", key),
			Found: "it is " + kindOf(value), Expected: "the question as a string",
			Fix: "name the field that holds it, as field beside path in run.yaml",
		}
	}
	if key == "prompt.0.content" {
		text = afterInstructions(text)
	}
	return text, nil
}

// isPassage tells a row of a corpus from a question whose text is its title, as ELI5's is.
func isPassage(fields map[string]any) bool {
	_, ok := fields["contents"]
	return ok
}

// afterInstructions is what Search-R1's prompt template puts behind its instructions.
func afterInstructions(prompt string) string {
	const marker = "Question:"
	if i := strings.LastIndex(prompt, marker); i >= 0 {
		return prompt[i+len(marker):]
	}
	return prompt
}

// rowID is the id in the field named, else in the first of idKeys that holds one, else "".
func rowID(r row, named string) (string, error) {
	for _, key := range namedOr(named, idKeys) {
		value, _ := lookup(r.fields, key)
		if id, ok := scalar(value); ok && id != "" {
			return id, nil
		}
	}
	if named != "" {
		return "", missing(r, "id", "id_field", named, idKeys)
	}
	return "", nil
}

// answerKey is the key under which a row has answers, "" if it has none. It does not look at them.
func answerKey(r row, named string) string {
	key, value := first(r.fields, namedOr(named, answerKeys))
	if value == nil {
		return ""
	}
	return key
}

// goldAnswers are the answers of an evaluation row without repetitions; the field must be there but may be empty.
func goldAnswers(r row, named string) ([]string, error) {
	key, value := first(r.fields, namedOr(named, answerKeys))
	if key == "" {
		return nil, missing(r, "gold answer", "answer_field", named, answerKeys[:4])
	}
	answers := texts(value)
	if key == "answer" && named == "" {
		answers = append(answers, texts(r.fields[aliasKey])...)
	}
	known := map[seen]struct{}{}
	return slices.DeleteFunc(answers, func(a string) bool { return !add(known, a) }), nil
}

// namedOr is the one field that the operator named, else the usual ones.
func namedOr(named string, usual []string) []string {
	if named != "" {
		return []string{named}
	}
	return usual
}

// texts collects the answers in a value: a text, a list, an object with some of valueKeys, or a text that is a
// JSON list.
func texts(value any) []string {
	switch v := value.(type) {
	case []any:
		var all []string
		for _, element := range v {
			all = append(all, texts(element)...)
		}
		return all
	case map[string]any:
		var all []string
		for _, key := range valueKeys {
			all = append(all, texts(v[key])...)
		}
		return all
	}
	text, ok := scalar(value)
	if text = strings.TrimSpace(text); !ok || text == "" {
		return nil
	}
	var list []string
	if strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &list) == nil {
		return slices.DeleteFunc(list, func(s string) bool { return strings.TrimSpace(s) == "" })
	}
	return variants(text)
}

// inlineVariant matches BamTwoogle's "Detroit Red Wings (or Red Wings)".
var inlineVariant = regexp.MustCompile(`^(.+?)\s*\(or (.+)\)$`)

func variants(answer string) []string {
	if m := inlineVariant.FindStringSubmatch(answer); m != nil {
		return []string{answer, m[1], m[2]}
	}
	return []string{answer}
}

// first is the first of keys that has a value, else the first that is there and null, else "".
func first(fields map[string]any, keys []string) (key string, value any) {
	for _, k := range keys {
		v, ok := lookup(fields, k)
		if v != nil {
			return k, v
		}
		if ok && key == "" {
			key = k
		}
	}
	return key, nil
}

// lookup follows a path such as extra_info.question or prompt[0].content. A key that contains the dots goes first.
func lookup(value any, path string) (any, bool) {
	if fields, ok := value.(map[string]any); ok {
		if v, ok := fields[path]; ok {
			return v, true
		}
	}
	path = strings.NewReplacer("[", ".", "]", "").Replace(path)
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "."), ".") {
		switch v := value.(type) {
		case map[string]any:
			inner, ok := v[name]
			if !ok {
				return nil, false
			}
			value = inner
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}

// scalar prints a value that is one text or number.
func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return strings.ToValidUTF8(v, "\uFFFD"), true
	case []byte:
		return strings.ToValidUTF8(string(v), "\uFFFD"), true
	case json.Number, bool, int32, int64, float32, float64:
		return fmt.Sprint(v), true
	}
	return "", false
}

func kindOf(value any) string {
	switch value.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	}
	return fmt.Sprintf("of type %T", value)
}
