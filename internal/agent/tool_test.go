package agent

import (
	"context"
	"errors"
	"math/big"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const (
	computes = `ActionWrapper(thoughts="t", action=Calculate(expression='(1969 - 1902) / 2'))`
)

// counting calculates first, then searches as long as it may.
func counting(r Request, i int) Sample {
	s := diligent(r, i)
	if r.Kind == pb.StepKind_STEP_KIND_DECISION && !strings.Contains(r.Prompt[strings.LastIndex(r.Prompt, "PAST_ACTIONS"):], "Calculate(") {
		s.Text = computes
	}
	return s
}

func withCalculator(rendering pb.Rendering, shots int) *Agent {
	a := &Agent{Model: modelFunc(counting), Tool: results(1), Tools: map[string]Tool{ToolCalculator: Calculator{}}, Settings: settings(2, 2)}
	a.Settings.Limits.Tools = []string{ToolCalculator}
	a.Settings.Rendering, a.Settings.Shots = rendering, shots
	return a
}

// TestCalculatorPlays: the calculator's answer is a result like any other, in the journal, the next prompts and the
// budget, and the whole can be verified.
func TestCalculatorPlays(t *testing.T) {
	t.Parallel()
	for _, a := range []*Agent{withCalculator(pb.Rendering_RENDERING_FEW_SHOT, 2), withCalculator(pb.Rendering_RENDERING_BARE, 0)} {
		out, failed := play(t, a)
		if failed != nil {
			t.Fatal(failed)
		}
		got := out.GetSteps()[1].GetResults()
		if len(got) != 1 || got[0].GetTitle() != "(1969 - 1902) / 2" || got[0].GetSnippet() != "33.5" || got[0].GetLinkId() != 1 {
			t.Errorf("results %v", got)
		}
		if n := len(out.GetSteps()); n != 2*2+4 {
			t.Errorf("%d steps: want one calculation, one search, and no more than the budget", n)
		}
		if err := Verify(out); err != nil {
			t.Error(err)
		}
		other := proto.CloneOf(out)
		other.Limits.Tools = nil
		if err := Verify(other); err == nil {
			t.Error("the same trajectory, without the tool, is verified too")
		}
	}
}

// TestCalculatorIsOff: without it neither prompts nor grammar know it, and it cannot be used.
func TestCalculatorIsOff(t *testing.T) {
	t.Parallel()
	decision := pb.StepKind_STEP_KIND_DECISION
	off, on := NewState("Who?", &pb.Limits{Searches: 2}), NewState("Who?", &pb.Limits{Searches: 2, Tools: []string{ToolCalculator}})
	few := pb.Rendering_RENDERING_FEW_SHOT
	plain, more := Render(off, decision, few, 1), Render(on, decision, few, 1)
	if strings.Contains(plain+off.Grammar(100), "alculat") {
		t.Error("what is off is in the prompt or the grammar")
	}
	if strings.Replace(more, forms[0].class, "", 1) != plain || !strings.Contains(more, "class Calculate(Action):") {
		t.Error("the prompt differs by more than the tool's class")
	}
	if !strings.Contains(on.Grammar(100), `"Calculate(expression=" text ")"`) {
		t.Error("the grammar lacks what is on")
	}
	if Render(on, decision, pb.Rendering_RENDERING_BARE, 0) != Render(off, decision, pb.Rendering_RENDERING_BARE, 0) {
		t.Error("the bare prompt is the state's alone")
	}
	if _, err := off.read(decision, computes); err == nil || !strings.Contains(err.Error(), "want Search or Terminate") {
		t.Errorf("a tool that is off: %v", err)
	}
	if action, err := on.read(decision, computes); err != nil || action != (Use{ToolCalculator, "(1969 - 1902) / 2", "t"}) {
		t.Errorf("%v, %v", action, err)
	}
	on.remaining = 0
	if _, err := on.read(decision, computes); !errors.Is(err, errNoSearches) || strings.Contains(on.Grammar(100), "Calculate") {
		t.Errorf("beyond the budget: %v", err)
	}
}

// A tool that this worker lacks is no failure of the policy.
func TestNoSuchTool(t *testing.T) {
	t.Parallel()
	a := withCalculator(pb.Rendering_RENDERING_BARE, 0)
	a.Settings.Limits.Tools = []string{"oracle"}
	_, err := a.Step(t.Context(), someone, NewState("Who?", a.Settings.Limits))
	if !errors.Is(err, ErrTool) || errors.As(err, new(*Failure)) || !strings.Contains(err.Error(), `"oracle" is not known to this version`) {
		t.Errorf("unknown tool: %v", err)
	}
	a = withCalculator(pb.Rendering_RENDERING_BARE, 0)
	a.Tools = nil
	s := NewState("Who?", a.Settings.Limits)
	step, err := a.Step(t.Context(), someone, s)
	if err != nil || s.Apply(step) != nil {
		t.Fatal(err)
	}
	if _, err = a.Step(t.Context(), someone, s); !errors.Is(err, ErrTool) || errors.As(err, new(*Failure)) {
		t.Errorf("a tool that is not there: %v", err)
	}
}

func TestCalculate(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"1 + 2 * 3":                    "7",
		"(1 + 2) * 3":                  "9",
		"0.1 + 0.2":                    "0.3",
		"1/3":                          "about 0.333333333333",
		"2 ** 10":                      "1024",
		"2^-2":                         "0.25",
		"-2 ** 2":                      "-4",
		"2 ** 3 ** 2":                  "512",
		"10 - 4 - 3":                   "3",
		"8 / 4 / 2":                    "1",
		"1,234,567 * 10":               "12345670",
		"15% * 80":                     "12",
		"3 × 4 ÷ 6 − 1":                "1",
		"--+1":                         "1",
		"":                             "! it ends too early",
		"1 +":                          "! it ends too early",
		"(1":                           "! it ends too early",
		"1)":                           `! ")" is no number`,
		"1 / 0":                        "! a division by zero",
		"0 ** -1":                      "! a division by zero",
		"2 ** 0.5":                     "! a power is a whole number",
		"(9 ** 999) ** 999":            "! the number is too large",
		"2 ** 1001":                    "! a power is a whole number up to 1000",
		strings.Repeat("9", 1001):      "! it is longer than 1000 characters",
		strings.Repeat("(", 200):       "! it is nested deeper than 50",
		strings.Repeat("-", 200) + "1": "! it is nested deeper than 50",
		"__import__('os')":             `! "import('os')" is no number`,
		"1.2.3":                        `! "1.2.3" is no number`,
		"1e999999999":                  `! "e999999999" is no number`,
		"\xff":                         `! "" is no number`,
	} {
		got, err := Calculator{}.Search(context.Background(), expression, 3)
		if err != nil || len(got) != 1 || got[0].GetTitle() != expression {
			t.Fatalf("%q: %v, %v", expression, got, err)
		}
		value := got[0].GetSnippet()
		if reason, fails := strings.CutPrefix(want, "! "); fails {
			if !strings.HasPrefix(value, "cannot be calculated: "+reason) {
				t.Errorf("%.30q: %s, want %s", expression, value, reason)
			}
		} else if value != want {
			t.Errorf("%.30q: %s, want %s", expression, value, want)
		}
	}
}

// FuzzCalculate: whatever the policy writes ends soon, and what is a sum of two numbers is their sum.
func FuzzCalculate(f *testing.F) {
	for _, e := range []string{"1+2", "((((2", "9**9**9**9", "1/3-0.1", "-(5%)", "1,2,3"} {
		f.Add(e, int64(3), int64(-4))
	}
	f.Fuzz(func(t *testing.T, expression string, a, b int64) {
		if value, err := calculate(expression); err == nil && value == "" {
			t.Errorf("%q is nothing", expression)
		}
		sum := new(big.Int).Add(big.NewInt(a), big.NewInt(b)).String()
		if got, err := calculate(big.NewInt(a).String() + " + " + big.NewInt(b).String()); err != nil || got != sum {
			t.Errorf("%d + %d: %s, %v", a, b, got, err)
		}
	})
}
