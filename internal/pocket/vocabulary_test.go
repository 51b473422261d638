package pocket

import (
	"slices"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/pocket/demo"
	"github.com/ratchet-rl/ratchet/internal/pocket/token"
)

// What the agent renders and a policy answers has no unknown word, comes back byte for byte, and is short.
func TestVocabularyFitsTheAgent(t *testing.T) {
	t.Parallel()
	v := testVocabulary(t)
	shown, err := demo.Show(99, demo.Sloppy, 4, 20) // not what the pieces were learned from
	if err != nil {
		t.Fatal(err)
	}
	prompts, completions, unknown := 0, 0, 0
	for _, d := range shown {
		for _, text := range []string{d.Prompt, d.Completion} {
			ids := v.Encode(text)
			if slices.Contains(ids, token.Unknown) {
				unknown++
				t.Logf("unknown words in %q: %q", text, v.Decode(ids))
			} else if got := v.Decode(ids); got != text {
				t.Errorf("%q came back as %q", text, got)
			}
		}
		prompts += len(v.Encode(d.Prompt))
		completions += len(v.Encode(d.Completion))
	}
	n := len(shown)
	t.Logf("vocabulary %d, %d steps, mean prompt %.1f tokens, completion %.1f", v.Size(), n, float64(prompts)/float64(n), float64(completions)/float64(n))
	if unknown*200 > n {
		t.Errorf("%d of %d steps have unknown words", unknown, n)
	}
	if prompts > 110*n || completions > 16*n || v.Size() > 800 {
		t.Errorf("too long for a model this small: vocabulary %d, mean prompt %d, completion %d tokens", v.Size(), prompts/n, completions/n)
	}
}
