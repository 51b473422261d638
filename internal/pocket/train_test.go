package pocket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
)

// writeMixture writes a mixture of so many examples in two parts, as the bridge does, and returns its manifest's path.
func writeMixture(t testing.TB, examples int) string {
	t.Helper()
	dir := t.TempDir()
	var parts []map[string]any
	for p := range 2 {
		var lines bytes.Buffer
		n := 0
		for i := p; i < examples; i += 2 {
			line, err := json.Marshal(map[string]any{
				"prompt": somePrompt + "\n", "completion": fmt.Sprintf("Belmora [link_id=%d] # [END]", i%9), "step": i, "kind": "decision",
			})
			if err != nil {
				t.Fatal(err)
			}
			lines.Write(append(line, '\n'))
			n++
		}
		sum := sha256.Sum256(lines.Bytes())
		key := fmt.Sprintf("part-%05d.jsonl", p)
		parts = append(parts, map[string]any{
			"key": "mixtures/run/1/" + key, "size": lines.Len(), "sha256": hex.EncodeToString(sum[:]), "examples": n,
		})
		if err := os.WriteFile(filepath.Join(dir, key), lines.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	manifest := filepath.Join(dir, "manifest.json")
	text, err := json.Marshal(map[string]any{"version": 1, "run": "r", "parts": parts, "examples": examples})
	if err := errors.Join(err, os.WriteFile(manifest, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	return manifest
}

var shortTuning = nn.Recipe{Steps: 60, Batch: 4, Rate: 3e-3}

func TestTrainIsDeterministicAndServed(t *testing.T) {
	t.Parallel()
	manifest := writeMixture(t, 20)
	var files [2][]byte
	var dirs [2]string
	for i := range files {
		dirs[i] = filepath.Join(t.TempDir(), "out")
		steps, lastLoss, firstLoss := 0, 0.0, 0.0
		o := TrainOptions{Seed: 3, Manifest: manifest, Out: dirs[i], Progress: func(done, total int, loss float64) {
			if steps = done; done == 1 {
				firstLoss = loss
			}
			if lastLoss = loss; total != shortTuning.Steps {
				t.Errorf("total %d", total)
			}
		}}
		if err := train(t.Context(), o, tinyModel(t, 1), card{Base: "own@7", BaseRecipe: "x"}, shortTuning); err != nil {
			t.Fatal(err)
		}
		if steps != shortTuning.Steps || lastLoss > firstLoss*.9 {
			t.Errorf("%d steps, loss %.3f -> %.3f", steps, firstLoss, lastLoss)
		}
		for _, name := range []string{parametersFile, cardFile} {
			data, err := os.ReadFile(filepath.Join(dirs[i], name))
			if err != nil {
				t.Fatal(err)
			}
			files[i] = append(files[i], data...)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two trainings of the same mixture differ")
	}

	s, url := readyServer(t)
	if err := s.load(adapterRequest{Name: "own-x", Path: dirs[0]}); err != nil {
		t.Fatal(err)
	}
	cl, p := client(url), completion(somePrompt+"\n")
	base, err1 := cl.Completions.New(t.Context(), p)
	p.Model = openai.CompletionNewParamsModel("own-x")
	tuned, err2 := cl.Completions.New(t.Context(), p)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if base.Choices[0].Text == tuned.Choices[0].Text {
		t.Error("the checkpoint answers like its base")
	}
}

func TestTrainStopsWithoutACheckpoint(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(context.Background())
	told := errors.New("told to stop")
	o := TrainOptions{Manifest: writeMixture(t, 4), Out: t.TempDir(), Progress: func(done, _ int, _ float64) {
		if done == 2 {
			cancel(told)
		}
	}}
	if err := train(ctx, o, tinyModel(t, 1), card{}, shortTuning); !errors.Is(err, told) {
		t.Errorf("%v", err)
	}
	if entries, err := os.ReadDir(o.Out); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestMixtureErrors(t *testing.T) {
	t.Parallel()
	v := testVocabulary(t)
	edit := func(name string, change func([]byte) []byte) func(dir string) error {
		return func(dir string) error {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name), change(data), 0o600)
		}
	}
	for name, c := range map[string]struct {
		examples int
		spoil    func(dir string) error
		says     string
	}{
		"no examples":    {0, nil, "no examples"},
		"no part":        {2, func(dir string) error { return os.Remove(filepath.Join(dir, "part-00001.jsonl")) }, "part-00001.jsonl"},
		"other bytes":    {2, edit("part-00000.jsonl", func(b []byte) []byte { return append(b, '\n') }), "sha256 differs"},
		"no JSON":        {2, edit("manifest.json", func([]byte) []byte { return []byte("{") }), "manifest.json"},
		"too few":        {2, edit("manifest.json", func(b []byte) []byte { return bytes.Replace(b, []byte(`"examples":2`), []byte(`"examples":3`), 1) }), "says 3 examples"},
		"no manifest":    {2, func(dir string) error { return os.Remove(filepath.Join(dir, "manifest.json")) }, "no such file"},
		"a broken line":  {2, breakLine("nonsense\n"), "part-00000.jsonl:1"},
		"no completion":  {2, breakLine(`{"prompt":"a"}` + "\n"), "must both be there"},
		"a long example": {2, breakLine(`{"prompt":"` + strings.Repeat("born ", 200) + `","completion":"x"}` + "\n"), "context holds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manifest := writeMixture(t, c.examples)
			if c.spoil != nil {
				if err := c.spoil(filepath.Dir(manifest)); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := readMixture(manifest, v, 128); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

// breakLine replaces the only line of part 0 and makes the manifest agree with it.
func breakLine(line string) func(dir string) error {
	return func(dir string) error {
		manifest := filepath.Join(dir, "manifest.json")
		text, err := os.ReadFile(manifest)
		if err != nil {
			return err
		}
		old, err := os.ReadFile(filepath.Join(dir, "part-00000.jsonl"))
		if err != nil {
			return err
		}
		was, is := sha256.Sum256(old), sha256.Sum256([]byte(line))
		text = bytes.Replace(text, []byte(hex.EncodeToString(was[:])), []byte(hex.EncodeToString(is[:])), 1)
		return errors.Join(os.WriteFile(manifest, text, 0o600), os.WriteFile(filepath.Join(dir, "part-00000.jsonl"), []byte(line), 0o600))
	}
}

func TestParseBase(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Base{"own": {BaseOwn, DefaultSeed}, "small@11": {BaseSmall, 11}} {
		if got, err := ParseBase(name); err != nil || got != want {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	for _, name := range []string{"", "large", "own@", "own@x"} {
		if _, err := ParseBase(name); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
}
