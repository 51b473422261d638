package agent

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// values draws any value of the grammar.
func values() *rapid.Generator[Value] {
	names := rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,8}`).Filter(func(s string) bool { return s != "True" && s != "False" && s != "None" })
	var value func(depth int) *rapid.Generator[Value]
	value = func(depth int) *rapid.Generator[Value] {
		leaves := []*rapid.Generator[Value]{
			rapid.Map(rapid.String(), func(s string) Value { return s }),
			rapid.Map(rapid.Int64(), func(n int64) Value { return n }),
			rapid.Map(rapid.Bool(), func(b bool) Value { return b }),
			rapid.Just(Value(nil)),
		}
		if depth == 0 {
			return rapid.OneOf(leaves...)
		}
		lists := rapid.Map(rapid.SliceOfN(value(depth-1), 0, 4), func(l []Value) Value { return l })
		calls := rapid.Custom(func(t *rapid.T) Value {
			c := &Call{Name: names.Draw(t, "name")}
			for _, arg := range rapid.SliceOfNDistinct(names, 0, 4, rapid.ID[string]).Draw(t, "args") {
				c.Args = append(c.Args, Arg{arg, value(depth-1).Draw(t, arg)})
			}
			return c
		})
		return rapid.OneOf(append(leaves, lists, calls)...)
	}
	return value(3)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := values().Draw(t, "value")
		text := Print(want)
		have, err := ParseValue(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("%s is read otherwise (-want +have):\n%s", text, diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, t := range templates() {
		for _, e := range t.exemplars {
			f.Add(e.output)
		}
	}
	f.Add("ACTION_SELECTED = ActionWrapper(thoughts='''a\nb''', action=Search(query=r'\\d' \"x\"))")
	f.Fuzz(func(t *testing.T, text string) {
		for kind := range exemplarsOf {
			if _, err := Parse(kind, text); err != nil && err.Error() == "" {
				t.Error("an error without words")
			}
			canonical := Canonical(kind, text)
			if again := Canonical(kind, canonical); again != canonical {
				t.Errorf("%q prints as %q, and that as %q", text, canonical, again)
			}
		}
	})
}

func TestParse(t *testing.T) {
	t.Parallel()
	const (
		decision  = pb.StepKind_STEP_KIND_DECISION
		selection = pb.StepKind_STEP_KIND_SUMMARIZATION
		answer    = pb.StepKind_STEP_KIND_ANSWER
		check     = pb.StepKind_STEP_KIND_RELEVANCE
	)
	for name, c := range map[string]struct {
		kind  pb.StepKind
		text  string
		want  Action
		fails string
	}{
		"search":            {decision, `ACTION_SELECTED = ActionWrapper(thoughts="t", action=Search(query='q'))  # [END]`, Search{"q", "t"}, ""},
		"bare search":       {decision, `Search(query='q', thoughts="t")`, Search{"q", "t"}, ""},
		"terminate":         {decision, "ActionWrapper(\n  thoughts=\"t\",\n  action=Terminate(),\n)", Terminate{"t"}, ""},
		"double quotes":     {decision, `ActionWrapper(thoughts='it\'s "so"', action=Search(query="O'Neill"))`, Search{"O'Neill", `it's "so"`}, ""},
		"escapes":           {decision, `ActionWrapper(thoughts="\x41\u00e9\U0001F600\n", action=Search(query='\q'))`, Search{`\q`, "Aé😀\n"}, ""},
		"unknown name":      {decision, `ActionWrapper(thoughts="\N{BULLET}", action=Terminate())`, Terminate{`\N{BULLET}`}, ""},
		"triple quotes":     {decision, `ActionWrapper(thoughts="""a "b"` + "\n" + `c""", action=Terminate())`, Terminate{"a \"b\"\nc"}, ""},
		"raw":               {decision, `ActionWrapper(thoughts=r"\d", action=Terminate())`, Terminate{`\d`}, ""},
		"concatenated":      {decision, `ActionWrapper(thoughts="a" 'b', action=Terminate())`, Terminate{"ab"}, ""},
		"after the end":     {decision, `ActionWrapper(thoughts="t", action=Terminate())  # [END]` + "\n###\n# Example 3 (((", Terminate{"t"}, ""},
		"selection":         {selection, `ACTION_SELECTED: LinkSelection = LinkSelection(grounded_summarization='s', thoughts="t", selected_link_ids=[3, 4,])`, Selection{"s", "t", []int32{3, 4}}, ""},
		"empty selection":   {selection, `LinkSelection(grounded_summarization='n', thoughts="t", selected_link_ids=[])`, Selection{Summary: "n", Thoughts: "t"}, ""},
		"passed":            {check, "# fine\nACTION_SELECTED: Command = Check_Answer(passed=True)", Check{Passed: true, Comments: []string{"fine"}}, ""},
		"failed":            {check, "Check_Answer(passed=False)", Check{}, ""},
		"failed, revised":   {check, "# no\nCheck_Answer(passed=False)\nRevise_Answer(revised_answer='x')", Check{Revised: "x", Comments: []string{"no"}}, ""},
		"revised":           {check, "Revise_Answer(revised_answer='x')", Check{Revised: "x"}, ""},
		"truncated string":  {decision, `ActionWrapper(thoughts="I need to`, nil, "max_tokens"},
		"truncated call":    {answer, `Answer(thoughts="t", answer="a"`, nil, "max_tokens"},
		"stopped in a call": {answer, "Answer(thoughts=\"t\", # [END]", nil, "max_tokens"},
		"nothing":           {decision, "# I am not sure\n", nil, "no action"},
		"prose":             {decision, "I would search for it.", nil, `want "("`},
		"two actions":       {answer, "Answer(answer='a')\nAnswer(answer='b')", nil, "2 actions"},
		"another step's":    {answer, "Check_Answer(passed=True)", nil, "want Answer"},
		"no query":          {decision, "ActionWrapper(thoughts=\"t\", action=Search(query=''))", nil, "query"},
		"ids of text":       {selection, "LinkSelection(selected_link_ids=['a'])", nil, "link ids"},
		"deep":              {decision, strings.Repeat("A(x=", 100), nil, "nested"},
		"positional":        {decision, "ActionWrapper('t', Terminate())", nil, "keyword=value"},
		"twice":             {answer, "Answer(answer='a', answer='b')", nil, "twice"},
		"expression":        {decision, "__import__('os').system('id')", nil, "keyword=value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have, err := Parse(c.kind, c.text)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("%v, %v; want an error with %q", have, err, c.fails)
				}
				return
			}
			if diff := cmp.Diff(c.want, have); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
		})
	}
}

func TestHasEmptyElement(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`ActionWrapper(thoughts="t", action=Search(query='q'))`: false,
		`ActionWrapper(thoughts=" ", action=Search(query='q'))`: true,
		`ActionWrapper(action=Terminate())`:                     true,
		`nonsense`:                                              true,
	} {
		if have := HasEmptyElement(pb.StepKind_STEP_KIND_DECISION, text); have != want {
			t.Errorf("%s: %v", text, have)
		}
	}
	if !HasEmptyElement(pb.StepKind_STEP_KIND_RELEVANCE, "Check_Answer(passed=True)") {
		t.Error("a check without comments has an empty element")
	}
}
