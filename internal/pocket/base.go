package pocket

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/pocket/demo"
	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
)

// DefaultSeed is the seed of the world and of the base models unless another is asked for; the package's comment says
// how typical it is.
const DefaultSeed = 7

// Sizes of a base.
const (
	BaseOwn   = "own"   // the generator's size
	BaseSmall = "small" // a student
)

// Base names a base model: what every fine-tuning starts from. It was taught by a sloppy demonstrator in other
// worlds than the one of its seed.
type Base struct {
	Size string
	Seed int64
}

// ParseBase reads own, small, or either with a seed behind an @, as in own@11.
func ParseBase(name string) (Base, error) {
	size, seed, given := strings.Cut(name, "@")
	b := Base{Size: size, Seed: DefaultSeed}
	if _, ok := shapes[size]; !ok {
		return b, fmt.Errorf("base %q: pocket has %s and %s, with a seed as in %s@11", name, BaseOwn, BaseSmall, BaseOwn)
	}
	if given {
		n, err := strconv.ParseInt(seed, 10, 64)
		if err != nil {
			return b, fmt.Errorf("base %q: the seed behind the @ must be a number", name)
		}
		b.Seed = n
	}
	return b, nil
}

func (b Base) String() string { return fmt.Sprintf("%s@%d", b.Size, b.Seed) }

// contextLength is the most tokens a prompt and its completion may have.
const contextLength = 2048

// shapes of the bases; the vocabulary's size is filled in.
var shapes = map[string]nn.Shape{
	BaseOwn:   {Dim: 64, Layers: 2, Heads: 4, Hidden: 128, Context: contextLength},
	BaseSmall: {Dim: 48, Layers: 1, Heads: 4, Hidden: 96, Context: contextLength},
}

// recipe is everything that a base depends on; its hash is the base's name in the cache.
type recipe struct {
	Format         int             `json:"format"`
	Shape          nn.Shape        `json:"shape"`
	Seed           int64           `json:"seed"`
	Vocabulary     string          `json:"vocabulary"`
	Sloppiness     demo.Sloppiness `json:"sloppiness"`
	Demonstrations string          `json:"demonstrations"` // sha256 of all of them
	Training       nn.Recipe       `json:"training"`
}

func (r recipe) hash() string {
	text, err := json.Marshal(r)
	if err != nil {
		return err.Error() // cannot happen: plain data
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// load returns a base and its recipe's hash, from the cache, or trained now and then cached.
func (b Base) load(ctx context.Context, cache string, progress func(done, total int, loss float64)) (*nn.Model, string, error) {
	r, examples, err := b.recipe()
	if err != nil {
		return nil, "", err
	}
	m, err := cached(ctx, cmp.Or(cache, DefaultCache()), b.String(), r, examples, progress)
	return m, r.hash(), err
}

// recipe of a base, and the examples that it is taught by.
func (b Base) recipe() (recipe, []nn.Example, error) {
	v, err := vocabulary()
	if err != nil {
		return recipe{}, nil, fmt.Errorf("learn the vocabulary: %w", err)
	}
	shape := shapes[b.Size]
	shape.Vocab = v.Size()
	shown, err := demo.Show(b.Seed, demo.Sloppy, demo.Worlds, demo.Questions)
	if err != nil {
		return recipe{}, nil, fmt.Errorf("make demonstrations: %w", err)
	}
	sum, examples := sha256.New(), make([]nn.Example, len(shown))
	for i, d := range shown {
		fmt.Fprintf(sum, "%q %q\n", d.Prompt, d.Completion)
		examples[i] = nn.Example{Prompt: v.Encode(d.Prompt), Completion: v.Encode(d.Completion)}
	}
	return recipe{
		Format: checkpointFormat, Shape: shape, Seed: b.Seed, Vocabulary: v.Hash(), Sloppiness: demo.Sloppy,
		Demonstrations: hex.EncodeToString(sum.Sum(nil)),
		Training:       nn.Recipe{Steps: 1500, Batch: 8, Rate: 3e-3, Seed: uint64(b.Seed)},
	}, examples, nil
}
