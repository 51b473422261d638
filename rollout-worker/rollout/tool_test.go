package rollout_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/config"
)

// TestCalculator: a run's second tool is asked, and its answer stands in the trajectory as a search's does.
func TestCalculator(t *testing.T) {
	t.Parallel()
	e, r := newEndpoint(t), newRig(t, long)
	e.speak(func(c call, i int) string {
		if c.kind == "decision" && strings.Contains(c.text, "REMAINING_SEARCHES: int = 1\n") {
			return fmt.Sprintf(`ActionWrapper(thoughts="%s", action=Calculate(expression='3 * (5 + 0.5)'))`, thoughts)
		}
		return script(c, i)
	})
	r.work(t, 4, 0)
	work := task(e, "calculating", 1, 1)
	work.GetShard().Limits.Tools = []string{config.ToolCalculator}
	r.publish(t, work)
	r.settled(t)
	for id, got := range r.completed(t, 1) {
		results := got.GetSteps()[3].GetResults()
		if len(results) != 1 || results[0].GetTitle() != "3 * (5 + 0.5)" || results[0].GetSnippet() != "16.5" || got.GetUsage().GetSearches() != 2 {
			t.Errorf("%s: results %v, usage %v", id, results, got.GetUsage())
		}
		if err := agent.Verify(got); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}
