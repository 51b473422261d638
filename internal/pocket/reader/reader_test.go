package reader

import (
	"strings"
	"testing"
)

const question = "ORIGINAL_QUESTION: str = 'Where was the author of Silver Harbor born?'\n"

const hop1 = `Search(query='Silver Harbor novel', thoughts="I need the author of Silver Harbor."),
SelectLink(selected_links=[ResultItem(link_text='Silver Harbor', snippet='Silver Harbor is a novel by Ada Abel.', link_id=2),], grounded_summarization='The author is Ada Abel [link_id=2].', thoughts="x"),
`

const hop2 = `SelectLink(selected_links=[ResultItem(link_text='Ada Abel', snippet='The birthplace of Ada Abel is Belmora.', link_id=5),], grounded_summarization='x', thoughts="x"),
`

func past(actions string) string {
	return question + "PAST_ACTIONS: List[Action] = [\n" + actions + "]\n"
}

// prompt is a ranking prompt with the markers that internal/judge writes.
func prompt(seen string, outputs ...string) string {
	p := "You rate outputs. The Model Can See: part comes first.\n\nModel Can See:\n" + seen + "\n"
	for i, o := range outputs {
		p += "\nModel Output #" + string(rune('1'+i)) + ":\n" + o + "\n"
	}
	return p + "\nChoose the best output. Write three lines:\nExplanation: ...\nAnswer: #X\nRanking: #X > #Y\n"
}

func search(query, thoughts string) string {
	return `ACTION_SELECTED = ActionWrapper(thoughts="` + thoughts + `", action=Search(query='` + query + `'))  # [END]`
}

const terminate = `ACTION_SELECTED = ActionWrapper(thoughts="I know the birthplace.", action=Terminate())  # [END]`

func selection(summary, links string) string {
	return `ACTION_SELECTED: LinkSelection = LinkSelection(grounded_summarization='` + summary + `', thoughts="t", selected_link_ids=[` + links + `])  # [END]`
}

const passed = "# The question asks.\n" + `ACTION_SELECTED: Command = Check_Answer(passed=True)  # [END]`

func revised(answer string) string {
	return "# The question asks.\n" + `ACTION_SELECTED: Command = Revise_Answer(revised_answer="` + answer + `")  # [END]`
}

func answer(a string) string {
	return `ACTION_SELECTED: Answer = Answer(thoughts="t", answer="` + a + `")  # [END]`
}

func TestRanking(t *testing.T) {
	t.Parallel()
	start, results := past(""), past(`Search(query='Silver Harbor novel', thoughts="t"),`+"\n")+
		`CURRENT_SEARCH_RESULTS = SearchResult(links=[ResultItem(link_text='Silver Harbor', snippet='Silver Harbor was published by Apex Group.', link_id=1), ResultItem(link_id=2, link_text='Silver Harbor', snippet='Ada Abel is the writer of the novel Silver Harbor.'),])`+"\n"
	for name, c := range map[string]struct {
		prompt, ranking, because string
	}{
		"asks for the need": {
			prompt(start+"REMAINING_SEARCHES: int = 5\n", search("Silver Harbor published", "I need the publisher."), terminate, search("Silver Harbor novel", "I need the author of Silver Harbor.")),
			"#3 > #1 > #2", "asks about Silver Harbor",
		},
		"stops when both are known": {
			prompt(past(hop1+hop2)+"REMAINING_SEARCHES: int = 3\n", search("Ada Abel birthplace", "I need the birthplace of Ada Abel."), terminate),
			"#2 > #1", "both facts are known",
		},
		"asks for the second hop": {
			prompt(past(hop1)+"REMAINING_SEARCHES: int = 3\n", terminate, search("Silver Harbor novel", "I need the author."), search("Ada Abel birthplace", "I need the birthplace of Ada Abel.")),
			"#3 > #1 > #2", "asks about Ada Abel",
		},
		"stops without a search left": {
			prompt(past(hop1)+"REMAINING_SEARCHES: int = 0\n", search("Ada Abel birthplace", "I need the birthplace of Ada Abel."), terminate), "#2 > #1", "no search is left",
		},
		"selects the fact": {
			prompt(results, selection("The publisher of Silver Harbor is Apex Group [link_id=1].", "1"), selection("Nothing is selected.", ""), selection("The author of Silver Harbor is Ada Abel [link_id=2].", "2"), selection("The author of Silver Harbor is Ada Abel [link_id=2].", "1, 2")),
			"#3 > #4 > #1 > #2", "link 2",
		},
		"empty thoughts are bad": {
			prompt(start, search("Silver Harbor novel", ""), search("Silver Harbor published", "I need the publisher.")), "#2 > #1", "not for the author",
		},
		"a check without comments is bad": {
			prompt(past(hop1+hop2)+"ANSWER: str = 'Belmora [link_id=5]'\n", strings.TrimPrefix(passed, "# The question asks.\n"), passed), "#2 > #1", "passes",
		},
		"unreadable is worst": {prompt(start, "??", search("Silver Harbor novel", "")), "#2 > #1", "empty"},
		"answers the second hop": {
			prompt(past(hop1+hop2), answer("Ada Abel [link_id=2]"), answer("Belmora"), answer("Belmora [link_id=5]")), "#3 > #2 > #1", "Belmora",
		},
		"unknown without evidence": {prompt(past(hop1), answer("Ada Abel [link_id=2]"), answer("unknown")), "#2 > #1", "says so"},
		"passes what is right":     {prompt(past(hop1+hop2)+"ANSWER: str = 'Belmora [link_id=5]'\n", revised("Ada Abel [link_id=2]"), passed), "#2 > #1", "passes"},
		"revises what is wrong":    {prompt(past(hop1+hop2)+"ANSWER: str = 'Ada Abel [link_id=2]'\n", passed, revised("Belmora [link_id=5]")), "#2 > #1", "revises"},
		"another language keeps the order": {
			prompt("ORIGINAL_QUESTION: str = 'Why is the sky blue?'\n", terminate, search("sky", "t")), "#1 > #2", "not in the language",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Answer(c.prompt)
			lines := strings.Split(got, "\n")
			if len(lines) != 3 || lines[2] != "Ranking: "+c.ranking || lines[1] != "Answer: "+c.ranking[:2] {
				t.Errorf("want %s, got\n%s", c.ranking, got)
			}
			if !strings.Contains(lines[0], c.because) || !strings.Contains(lines[0], "rule-based reader") {
				t.Errorf("explanation %q does not say %q", lines[0], c.because)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	const exemplar = "ORIGINAL_QUESTION: str = 'q'\nANSWER: str = 'a'\nREF_ANSWER: str = 'b'\n\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = False  # [END]\n"
	for _, c := range []struct {
		answer, reference string
		right             bool
	}{
		{"Belmora [link_id=5]", "Belmora", true},
		{"According to [link_id=1], it opened in 1943.", "1943", true},
		{"unknown", "Belmora", false},
		{"Ada Abel [link_id=1943]", "1943", false},
		{"Ada Abelson", "Ada Abel", false},
		{"", "", false},
	} {
		got := Answer(exemplar + "ORIGINAL_QUESTION: str = 'q'\nANSWER: str = '" + c.answer + "'\nREF_ANSWER: str = '" + c.reference + "'\n\n")
		want := "Check_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = False  # [END]"
		if c.right {
			want = strings.Replace(want, "False", "True", 1)
		}
		if !strings.HasSuffix(got, want) {
			t.Errorf("answer %q, reference %q: %s", c.answer, c.reference, got)
		}
	}
}

func TestOtherPrompts(t *testing.T) {
	t.Parallel()
	if got := Answer("Tell me a joke."); !strings.Contains(got, "rule-based reader") {
		t.Error(got)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(prompt(past(hop1), terminate, answer("x")))
	f.Add("ANSWER = ''\nREF_ANSWER = \"\\\"")
	f.Fuzz(func(t *testing.T, text string) {
		if Answer(text) == "" {
			t.Error("no answer")
		}
	})
}
