package pocket

import (
	"context"
	"fmt"

	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
)

// TrainOptions of one fine-tuning.
type TrainOptions struct {
	// Base to start from: own or small, with the seed of the base behind an @ (own@11) if it is not DefaultSeed's.
	Base string
	// Seed of the order of the examples.
	Seed int64
	// Manifest is the path of the mixture's manifest.json; its parts lie beside it.
	Manifest string
	// Out is the directory for the checkpoint.
	Out string
	// Cache is the directory of trained bases; empty means DefaultCache.
	Cache string
	// Progress is called after every step, with the loss in nats per token; it may be nil.
	Progress func(done, total int, loss float64)
}

// tuning is the recipe of every fine-tuning: about 2.6 epochs of the mixture of 200 trajectories.
var tuning = nn.Recipe{Steps: 600, Batch: 8, Rate: 1.5e-3}

// Train fine-tunes a base on a mixture and writes the checkpoint, pocket.bin and pocket.json, into o.Out. The same
// options and mixture give the same bytes. When ctx ends it stops between two steps, with the cause, and writes
// nothing: a training takes seconds, so it is started over, not resumed.
func Train(ctx context.Context, o TrainOptions) error {
	base, err := ParseBase(o.Base)
	if err != nil {
		return err
	}
	from, recipe, err := base.load(ctx, o.Cache, nil)
	if err != nil {
		return fmt.Errorf("load base %s: %w", base, err)
	}
	return train(ctx, o, from, card{Base: base.String(), BaseRecipe: recipe}, tuning)
}

// train fine-tunes a model and completes the card, which says what the model is.
func train(ctx context.Context, o TrainOptions, from *nn.Model, c card, r nn.Recipe) error {
	v, err := vocabulary()
	if err != nil {
		return fmt.Errorf("learn the vocabulary: %w", err)
	}
	mix, examples, err := readMixture(o.Manifest, v, from.Context)
	if err != nil {
		return fmt.Errorf("read mixture: %w", err)
	}
	r.Seed = uint64(o.Seed)
	tuned, loss, err := tune(ctx, from, examples, r, o.Progress)
	if err != nil {
		return fmt.Errorf("fine-tune %s: %w", c.Base, err)
	}
	c.What = "pocket: a tiny trained stand-in for a policy, fine-tuned; no language model"
	c.Vocabulary, c.Mixture, c.Examples, c.Training, c.Loss = v.Hash(), mix.sha256, len(examples), r, loss
	return writeCheckpoint(o.Out, tuned, c)
}

// tune trains a copy of a model and returns it with the mean loss of its last steps.
func tune(ctx context.Context, from *nn.Model, examples []nn.Example, r nn.Recipe, progress func(done, total int, loss float64)) (*nn.Model, float64, error) {
	m, tail := from.Clone(), lastSteps(r.Steps)
	var loss float64
	err := nn.Train(ctx, m, examples, r, func(step int, l float64) {
		if step > r.Steps-tail {
			loss += l / float64(tail)
		}
		if progress != nil {
			progress(step, r.Steps, l)
		}
	})
	return m, loss, err
}

// lastSteps is how many steps a final loss is averaged over.
func lastSteps(steps int) int { return max(1, min(50, steps/4)) }
