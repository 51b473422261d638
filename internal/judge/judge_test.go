package judge_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/judge"
)

func TestParseRanking(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text  string
		n     int
		order []int
		fails string
	}{
		"three lines":     {"Explanation: good\nAnswer: #2\nRanking: #2 > #1 > #3", 3, []int{1, 0, 2}, ""},
		"incomplete":      {"Explanation: x\nAnswer: #3\nRanking: #3", 3, []int{2, 0, 1}, ""},
		"answer only":     {"Answer: 2", 2, []int{1, 0}, ""},
		"markdown":        {"**Explanation:** x\n**Answer:** #1\n**Ranking:** #1 > #2", 2, []int{0, 1}, ""},
		"out of range":    {"Ranking: #4 > #1", 3, nil, "there are #1 to #3"},
		"twice":           {"Ranking: #1 > #1", 2, nil, "twice"},
		"contradiction":   {"Answer: #1\nRanking: #2 > #1", 2, nil, "begins with #2"},
		"nothing":         {"I like them all.", 2, nil, "want a line"},
		"prose":           {"Ranking: #2 > #1, by 2 points", 2, []int{1, 0}, ""},
		"no marks":        {"ranking: 3, 1, 2", 3, []int{2, 0, 1}, ""},
		"thinks aloud":    {"<think>Answer: #1?</think>\nExplanation: x\nAnswer: #2\nRanking: #2 > #1", 2, []int{1, 0}, ""},
		"zero":            {"Answer: #0", 2, nil, "there are #1 to #2"},
		"number overflow": {"Ranking: #99999999999999999999", 2, nil, "there are"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			order, _, err := judge.ParseRanking(c.text, c.n)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("error %v, want %q", err, c.fails)
				}
				return
			}
			if err != nil || !slices.Equal(order, c.order) {
				t.Fatalf("%v, %v; want %v", order, err, c.order)
			}
		})
	}
}

func TestParseVerdict(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"# it says so\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = True  # [END]": true,
		"Check_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = False":                       false,
		"True": true, "**false**": false, "Answer: true": true, "= False": false,
		"<think>\nFalse?\n</think>\n# yes\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) == true":                                   true,
		"Check_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = False # [END]\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = True": false,
	} {
		if right, _, err := judge.ParseVerdict(text); err != nil || right != want {
			t.Errorf("%q: %v, %v", text, right, err)
		}
	}
	if _, _, err := judge.ParseVerdict("maybe"); err == nil {
		t.Error("maybe was read")
	}
	if _, why, _ := judge.ParseVerdict("# one\n# two\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = True"); why != "one two" {
		t.Errorf("explanation %q", why)
	}
}

// TestLongExplanationsAreCut: a judge that cannot stop is read, but not kept.
func TestLongExplanationsAreCut(t *testing.T) {
	t.Parallel()
	much := strings.Repeat("é", 1<<20)
	order, why, err := judge.ParseRanking("Explanation: "+much+"\nAnswer: #1\nRanking: #1 > #2", 2)
	if err != nil || !slices.Equal(order, []int{0, 1}) || len(why) > 4<<10 || !strings.HasSuffix(why, " ...") {
		t.Errorf("%v with %d bytes of explanation, %v", order, len(why), err)
	}
	right, why, err := judge.ParseVerdict("# " + much + "\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = True")
	if err != nil || !right || len(why) > 4<<10 || !strings.HasSuffix(why, " ...") {
		t.Errorf("%v with %d bytes of explanation, %v", right, len(why), err)
	}
}

// TestPrompts: what the parsers read is what the prompts ask for, and what pocket's judge looks for is there.
func TestPrompts(t *testing.T) {
	t.Parallel()
	prompt := judge.RankPrompt("ORIGINAL_QUESTION: str = 'q'\n", []string{"one", "two\n"})
	at := 0
	for _, part := range []string{"Model Can See:\nORIGINAL_QUESTION", "Model Output #1:\none\n", "Model Output #2:\ntwo\n", "Explanation:", "Answer: #X", "Ranking: #X > #Y"} {
		i := strings.Index(prompt[at:], part)
		if i < 0 {
			t.Fatalf("%q is not there, or out of order", part)
		}
		at += i
	}
	verdict := judge.VerdictPrompt("who?", "It's\nme", `a\b`)
	if !strings.HasSuffix(verdict, `ORIGINAL_QUESTION: str = 'who?'
ANSWER: str = 'It\'s\nme'
REF_ANSWER: str = 'a\\b'

`) {
		t.Errorf("ends with %q", verdict[len(verdict)-120:])
	}
	if n := strings.Count(verdict, "# [END]"); n != 5 {
		t.Errorf("%d exemplars, want 5", n)
	}
	if !strings.HasPrefix(judge.RankVersion, "rank@") || !strings.HasPrefix(judge.VerdictVersion, "verdict@") {
		t.Errorf("versions %q, %q", judge.RankVersion, judge.VerdictVersion)
	}
}

func TestScores(t *testing.T) {
	t.Parallel()
	gold := []string{"The Loire", "Loire river"}
	if !judge.ExactMatch("loire.", gold) || judge.ExactMatch("the river Loire", gold) {
		t.Error("exact match")
	}
	if !judge.Contains("It is the Loire, of course", gold) || judge.Contains("Loiret", gold) {
		t.Error("contains")
	}
	if f := judge.F1("the river Loire", gold); f != 1 {
		t.Errorf("F1 %v, want 1: the same words", f)
	}
	if n := judge.Normalize("  The “Loire” — a river, isn't it?\t"); n != "“loire” — river isnt it" {
		t.Errorf("normalized %q", n)
	}
	if judge.Contains("anything", []string{"", "the"}) || judge.ExactMatch("x", nil) || judge.F1("", []string{""}) != 0 {
		t.Error("nothing matched something")
	}
	if f := judge.F1("the river Loire in France", gold); f != 2.0/3 {
		t.Errorf("F1 %v, want 2/3", f)
	}
	if f := judge.F1("yes it is", []string{"yes"}); f != 0 {
		t.Errorf("F1 %v, want 0: yes must match whole", f)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Ranking: #1 > #2", 2)
	f.Add("= True", 1)
	f.Fuzz(func(t *testing.T, text string, n int) {
		if n < 1 || n > 64 {
			return
		}
		if order, _, err := judge.ParseRanking(text, n); err == nil {
			seen := slices.Sorted(slices.Values(order))
			for i := range n {
				if len(seen) != n || seen[i] != i {
					t.Fatalf("%v is no permutation of %d", order, n)
				}
			}
		}
		_, _, _ = judge.ParseVerdict(text)
	})
}
