package pocket

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/pocket/demo"
	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
	"github.com/ratchet-rl/ratchet/internal/pocket/token"
	"github.com/ratchet-rl/ratchet/internal/pocket/trial"
	"github.com/ratchet-rl/ratchet/internal/pocket/world"
)

// ExperimentOptions of the measurement behind pocket's figures.
type ExperimentOptions struct {
	// Seeds, each with its own world and base. Defaults to 11-15.
	Seeds []int64
	// Base is own (default) or small.
	Base string
	// Repetitions of each evaluation. Defaults to 3.
	Repetitions int
	// Generations to train. Defaults to 2.
	Generations int
	// Temperature while growing. Defaults to 0.7.
	Temperature float64
	// Cache is the directory of trained bases; empty means DefaultCache.
	Cache string
	// Progress is told what is being done; it may be nil.
	Progress func(seed int64, stage string)
}

func (o ExperimentOptions) withDefaults() ExperimentOptions {
	if len(o.Seeds) == 0 {
		o.Seeds = []int64{11, 12, 13, 14, 15}
	}
	o.Base = cmp.Or(o.Base, BaseOwn)
	o.Repetitions = cmp.Or(o.Repetitions, 3)
	o.Generations = cmp.Or(o.Generations, 2)
	o.Temperature = cmp.Or(o.Temperature, .7)
	if o.Progress == nil {
		o.Progress = func(int64, string) {}
	}
	return o
}

// Experiment runs the loop once per seed in this process and writes a table of accuracies on the held-out questions
// to out, row by row: generation 0, generation 1 without the judge, and the generations with it. An asterisk marks a
// generation whose gain over the one before is significant (paired bootstrap over questions, 95 %, one-sided).
func Experiment(ctx context.Context, o ExperimentOptions, out io.Writer) error {
	o = o.withDefaults()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "seed\tgen 0\tno judge")
	for g := range o.Generations {
		fmt.Fprintf(table, "\tgen %d", g+1)
	}
	fmt.Fprintln(table, "\tdraft\tfailed\tdistinct\tchanged\tseconds")
	var columns [][]float64
	for _, seed := range o.Seeds {
		started := time.Now()
		r, err := o.run(ctx, seed)
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		columns = append(columns, writeRow(table, seed, r, time.Since(started)))
	}
	writeMeans(table, columns)
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// run is one seed's trial.
func (o ExperimentOptions) run(ctx context.Context, seed int64) (trial.Result, error) {
	v, err := vocabulary()
	if err != nil {
		return trial.Result{}, fmt.Errorf("learn the vocabulary: %w", err)
	}
	base := Base{Size: o.Base, Seed: seed}
	o.Progress(seed, "base")
	from, _, err := base.load(ctx, o.Cache, nil)
	if err != nil {
		return trial.Result{}, fmt.Errorf("load base %s: %w", base, err)
	}
	return trial.Run(ctx, trial.Options{
		World: world.New(seed), Limits: demo.Limits(), Repetitions: o.Repetitions, Generations: o.Generations,
		GrowTemperature: o.Temperature, Temperature: .5, Control: true,
		Report: func(stage string) { o.Progress(seed, stage) },
		Tune: func(ctx context.Context, examples []trial.Example, generation int) (agent.Model, error) {
			r := tuning
			r.Seed = uint64(generation)
			tokens := make([]nn.Example, len(examples))
			for i, ex := range examples {
				tokens[i] = nn.Example{Prompt: v.Encode(ex.Prompt), Completion: v.Encode(ex.Completion)}
			}
			m, _, err := tune(ctx, from, tokens, r, nil)
			return policy{m, v}, err
		},
	}, policy{from, v})
}

// policy is a model as the agent's.
type policy struct {
	model      *nn.Model
	vocabulary *token.Vocabulary
}

// Sample implements agent.Model without a server between.
func (p policy) Sample(ctx context.Context, r agent.Request) (agent.Samples, error) {
	prompt := p.vocabulary.Encode(r.Prompt)
	samples, err := p.model.Generate(ctx, nn.Request{
		Prompt: prompt, N: r.N, Temperature: r.Temperature, MaxTokens: r.MaxTokens, Seed: r.Seed,
		Stop: stop(p.vocabulary, []string{r.Stop}),
	})
	if err != nil {
		return agent.Samples{}, fmt.Errorf("generate: %w", err)
	}
	out := agent.Samples{PromptTokens: int64(len(prompt)), Calls: 1}
	for _, s := range samples {
		var sum float64
		for _, l := range s.Logprobs {
			sum += l
		}
		finish := "length"
		if s.Stopped {
			finish = "stop"
		}
		out.CompletionTokens += int64(len(s.Tokens))
		out.Samples = append(out.Samples, agent.Sample{
			Text: p.vocabulary.Decode(s.Tokens), Tokens: len(s.Tokens), MeanLogprob: sum / float64(len(s.Tokens)), HasLogprob: true, FinishReason: finish,
		})
	}
	return out, nil
}

// writeRow writes one seed's line and returns its accuracies: generation 0, the control, the generations after it.
func writeRow(w io.Writer, seed int64, r trial.Result, took time.Duration) []float64 {
	last := r.Scores[len(r.Scores)-1]
	accuracies := []float64{r.Scores[0].Right, r.Control.Right}
	fmt.Fprintf(w, "%d\t%.1f\t%.1f%s", seed, 100*r.Scores[0].Right, 100*r.Control.Right, gain(r.Scores[0], *r.Control))
	for g := 1; g < len(r.Scores); g++ {
		accuracies = append(accuracies, r.Scores[g].Right)
		fmt.Fprintf(w, "\t%.1f%s", 100*r.Scores[g].Right, gain(r.Scores[g-1], r.Scores[g]))
	}
	mixtures := func(f func(trial.Mixture) float64, format string) (text string) {
		for i, m := range r.Mixtures {
			if i > 0 {
				text += " "
			}
			text += fmt.Sprintf(format, f(m))
		}
		return text
	}
	fmt.Fprintf(w, "\t%.1f > %.1f\t%.1f\t%s\t%s\t%.0f\n", 100*r.Scores[0].Draft, 100*last.Draft, 100*last.Failed,
		mixtures(func(m trial.Mixture) float64 { return m.Distinct }, "%.2f"),
		mixtures(func(m trial.Mixture) float64 { return 100 * m.Changed }, "%.1f%%"), took.Seconds())
	return accuracies
}

// gain is an asterisk if b is significantly better than a.
func gain(a, b trial.Score) string {
	const resamples, level = 4000, .05
	random := rand.New(rand.NewPCG(1, 1))
	n := len(a.ByQuestion)
	means := make([]float64, resamples)
	for i := range means {
		for range n {
			q := random.IntN(n)
			means[i] += (b.ByQuestion[q] - a.ByQuestion[q]) / float64(n)
		}
	}
	slices.Sort(means)
	if means[int(level*resamples)] > 0 {
		return "*"
	}
	return ""
}

// writeMeans writes mean ± standard deviation over seeds.
func writeMeans(w io.Writer, rows [][]float64) {
	fmt.Fprint(w, "mean")
	for c := range rows[0] {
		var sum, squares float64
		for _, r := range rows {
			sum += 100 * r[c]
		}
		mean := sum / float64(len(rows))
		for _, r := range rows {
			squares += (100*r[c] - mean) * (100*r[c] - mean)
		}
		fmt.Fprintf(w, "\t%.1f±%.1f", mean, math.Sqrt(squares/float64(max(len(rows)-1, 1))))
	}
	fmt.Fprintln(w)
}

// WriteWorld writes the files of the seed's world into dir: corpus.jsonl, pool.jsonl and heldout.jsonl.
func WriteWorld(dir string, seed int64) error { return world.New(seed).Write(dir) }
