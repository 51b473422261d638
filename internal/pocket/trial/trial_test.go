package trial

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/pocket/demo"
	"github.com/ratchet-rl/ratchet/internal/pocket/world"
	"github.com/ratchet-rl/ratchet/internal/search"
)

// With the sloppy teacher as the policy and a tuning that takes its habits away, the trial measures both, and the judge
// finds better targets than the teacher's first choice.
func TestTrial(t *testing.T) {
	t.Parallel()
	var mixtures [][]Example
	r, err := Run(t.Context(), Options{
		World: world.New(5), Limits: demo.Limits(), Repetitions: 1, Generations: 1, GrowTemperature: 1, Temperature: 1, Control: true,
		Tune: func(_ context.Context, examples []Example, _ int) (agent.Model, error) {
			mixtures = append(mixtures, examples)
			return demo.NewTeacher(5, demo.Sloppiness{}), nil
		},
	}, demo.NewTeacher(5, demo.Sloppy))
	if err != nil {
		t.Fatal(err)
	}
	sloppy, clean := r.Scores[0], r.Scores[1]
	t.Logf("sloppy %.2f, clean %.2f, mixture %+v", sloppy.Right, clean.Right, r.Mixtures[0])
	if sloppy.Right < .2 || sloppy.Right > .7 || clean.Right < .97 || clean.Draft != clean.Right || clean.Failed > 0 {
		t.Errorf("sloppy %.2f, clean %.2f (draft %.2f, failed %.2f)", sloppy.Right, clean.Right, clean.Draft, clean.Failed)
	}
	if r.Control == nil || len(mixtures) != 2 || len(mixtures[0]) != len(mixtures[1]) {
		t.Fatalf("%d mixtures", len(mixtures))
	}
	changed := 0
	for i, ex := range mixtures[1] {
		if ex.Prompt != mixtures[0][i].Prompt {
			t.Fatal("the judge changed a prompt")
		}
		if selects := strings.Contains(ex.Completion, "selected_link_ids"); selects != strings.Contains(ex.Prompt, "CURRENT_SEARCH_RESULTS") {
			t.Fatalf("prompt and completion of different steps:\n%s\n%s", ex.Prompt, ex.Completion)
		}
		if ex.Completion != mixtures[0][i].Completion {
			changed++
		}
	}
	if m := r.Mixtures[0]; m.Examples != len(mixtures[1]) || changed == 0 || m.Distinct <= 1 || m.Changed <= 0 {
		t.Errorf("changed %d, %+v", changed, m)
	}
}

// The search of a real run finds what the world's own index finds: a teacher without habits answers everything.
func TestTrialWithBleve(t *testing.T) {
	t.Parallel()
	w, dir := world.New(6), t.TempDir()
	if err := w.Write(dir); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default().Search
	cfg.Directory, cfg.Cache = filepath.Join(dir, "index"), "off"
	tool, err := search.Open(t.Context(), cfg, config.SearchTool{Kind: "bm25", URI: world.CorpusFile, Results: 3}, func(_ context.Context, uri string) (io.ReadCloser, error) {
		return os.Open(filepath.Join(dir, uri))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tool.Close(); err != nil {
			t.Error(err)
		}
	}()
	r, err := Run(t.Context(), Options{World: w, Tool: tool, Limits: demo.Limits(), Repetitions: 1, Temperature: 1}, demo.NewTeacher(6, demo.Sloppiness{}))
	if err != nil {
		t.Fatal(err)
	}
	if right := r.Scores[0].Right; right < .97 {
		t.Errorf("%.2f of the questions answered", right)
	}
}
