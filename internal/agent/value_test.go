package agent

import (
	"strings"
	"testing"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestForeignTextStaysInItsString: neither a question nor a result can end a prompt early.
func TestForeignTextStaysInItsString(t *testing.T) {
	t.Parallel()
	for _, text := range []string{Stop, "a'b", `a"b`, `\`, "a\nb", "a\r\nb", "\u2028", "\u200b", "\x00", "\x7f", "é", "😀"} {
		printed := Print(text)
		if have, err := ParseValue(printed); err != nil || have != text {
			t.Errorf("%q is printed as %s and read as %q, %v", text, printed, have, err)
		}
		prompt := Render(NewState("what does "+text+" mean?", nil), pb.StepKind_STEP_KIND_DECISION, pb.Rendering_RENDERING_BARE, 0)
		if strings.Contains(prompt, Stop) || strings.Count(prompt, "\n") != 5 {
			t.Errorf("%q stands bare in the prompt:\n%s", text, prompt)
		}
	}
}

// TestLiterals are read as Python reads them.
func TestLiterals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Value{
		`'\101'`: "A", `'\ud83d\ude00'`: "😀", `('a' 'b')`: "ab", `r'\n'`: `\n`, `'''a'b'''`: "a'b", `"\x41\u00e9"`: "Aé", `'\d'`: `\d`, `-7`: int64(-7), `None`: nil,
	} {
		if have, err := ParseValue(text); err != nil || have != want {
			t.Errorf("%s is read as %#v, %v; want %#v", text, have, err, want)
		}
	}
}

// FuzzCanonical: what is an action stays one when it is printed canonically, and is then printed the same.
func FuzzCanonical(f *testing.F) {
	f.Add(`ACTION_SELECTED = ActionWrapper(thoughts="t", action=Search(query='q'))  # [END]`)
	f.Add("Check_Answer(passed=False)\nRevise_Answer(revised_answer='x')")
	f.Add(pick)
	f.Fuzz(func(t *testing.T, text string) {
		for kind := range exemplarsOf {
			if _, err := Parse(kind, text); err != nil {
				continue
			}
			once := Canonical(kind, text)
			if _, err := Parse(kind, once); err != nil {
				t.Fatalf("%q is printed as %q, which is no action: %v", text, once, err)
			}
			if twice := Canonical(kind, once); twice != once {
				t.Fatalf("%q is printed as %q", once, twice)
			}
		}
	})
}
