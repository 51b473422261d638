package agent

import (
	"strings"
	"testing"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func TestExemplars(t *testing.T) {
	t.Parallel()
	all, err := readTemplates()
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range exemplarsOf {
		have := all[kind].exemplars
		if len(have) != want {
			t.Errorf("%s: %d exemplars, want %d", kind, len(have), want)
		}
		seen := map[string]bool{}
		for i, e := range have {
			action, err := Parse(kind, e.output)
			if err != nil {
				t.Errorf("%s, exemplar %d: %v", kind, i+1, err)
				continue
			}
			if action.empty() {
				t.Errorf("%s, exemplar %d has an empty element:\n%s", kind, i+1, e.output)
			}
			if !strings.HasSuffix(e.output, Stop) {
				t.Errorf("%s, exemplar %d does not end with the stop marker", kind, i+1)
			}
			if seen[e.state] {
				t.Errorf("%s, exemplar %d repeats a state", kind, i+1)
			}
			seen[e.state] = true
		}
	}
}

func TestShots(t *testing.T) {
	t.Parallel()
	s := NewState("Who?", &pb.Limits{})
	kind := pb.StepKind_STEP_KIND_DECISION
	for shots, examples := range map[int]int{0: 10, 1: 2, 9: 10, 20: 10} {
		prompt := Render(s, kind, pb.Rendering_RENDERING_FEW_SHOT, shots)
		if have := strings.Count(prompt, "# Example "); have != examples {
			t.Errorf("%d shots: %d examples with the live one, want %d", shots, have, examples)
		}
		if !strings.HasSuffix(prompt, "ORIGINAL_QUESTION: str = 'Who?'\n\n") {
			t.Errorf("%d shots: the question is not repeated at the end:\n%s", shots, prompt[len(prompt)-200:])
		}
	}
	if bare := Render(s, kind, pb.Rendering_RENDERING_BARE, 0); bare != "ORIGINAL_QUESTION: str = 'Who?'\nPAST_ACTIONS: List[Action] = [\n]\nREMAINING_SEARCHES: int = 10\n# Step: decision\n" {
		t.Errorf("bare rendering:\n%s", bare)
	}
}
