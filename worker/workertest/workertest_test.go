package workertest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/worker"
	"github.com/ratchet-rl/ratchet/worker/workertest"
)

func shout(ctx context.Context, t *worker.Task) error {
	text := t.Args().GetFields()["text"].GetStringValue()
	return t.Result(ctx, map[string]any{"text": strings.ToUpper(text)})
}

// How a plug-in tests its handler.
func TestRun(t *testing.T) {
	t.Parallel()
	results := workertest.Run(t, "shout", shout, map[string]any{"text": "hi"}, map[string]any{"text": "you"})
	for i, want := range []string{"HI", "YOU"} {
		if got := results[i].GetValue().GetFields()["text"].GetStringValue(); got != want {
			t.Errorf("result %d: got %q, want %q", i, got, want)
		}
	}
}

func TestRunWithoutResult(t *testing.T) {
	t.Parallel()
	results := workertest.Run(t, "silent", func(context.Context, *worker.Task) error { return nil }, map[string]any{})
	if len(results) != 1 || results[0] != nil {
		t.Errorf("got %v, want one nil", results)
	}
}
