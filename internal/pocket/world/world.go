package world

import (
	"fmt"
	"math/rand/v2"

	"github.com/ratchet-rl/ratchet/internal/pocket/lang"
)

// Sizes of a world and of its question sets.
const (
	people, companies, cities, works = 60, 30, 30, 60
	// HeldOut is the number of questions to evaluate with.
	HeldOut = 125
	// Pool is the number of questions to grow on; poolFrom is where they begin among the shuffled questions.
	Pool     = 200
	poolFrom = 200
)

// Passage is what the search tool finds: one fact, told.
type Passage struct{ ID, Title, Text string }

// Question with its answer and the two facts that lead to it.
type Question struct {
	ID, Text, Answer string
	lang.Question
	Hops [2]lang.Fact
}

// World is one world: the same for the same seed.
type World struct {
	Seed      int64
	Passages  []Passage
	questions []Question
	facts     map[key]lang.Fact
}

type key struct{ entity, noun string }

// New makes the world of a seed.
func New(seed int64) *World {
	w := &World{Seed: seed, facts: map[key]lang.Fact{}}
	r := rand.New(rand.NewPCG(uint64(seed), 0x776f726c64))
	names := inhabitants(r)
	for i := range lang.Relations {
		rel := &lang.Relations[i]
		for _, e := range names[rel.From] {
			values := names[rel.To]
			f := lang.Fact{Entity: e, Relation: rel, Value: values[r.IntN(len(values))]}
			w.facts[key{e, rel.Noun}] = f
			w.Passages = append(w.Passages, Passage{
				ID: fmt.Sprintf("p%03d", len(w.Passages)), Title: e, Text: f.Tell(r.IntN(len(rel.Wordings))),
			})
		}
	}
	w.ask(names, r)
	return w
}

// inhabitants chooses the names of each type.
func inhabitants(r *rand.Rand) map[lang.Type][]string {
	names := map[lang.Type][]string{
		lang.Country: lang.Names(lang.Country), lang.River: lang.Names(lang.River), lang.Year: lang.Names(lang.Year),
		lang.City: shuffled(r, lang.Names(lang.City))[:cities],
		lang.Work: shuffled(r, lang.Names(lang.Work))[:works],
	}
	names[lang.Person] = lang.NewPeople(r, people)
	names[lang.Company] = lang.NewCompanies(r, companies)
	return names
}

func shuffled(r *rand.Rand, s []string) []string {
	out := append([]string(nil), s...)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// ask makes every two-hop question there is and shuffles them.
func (w *World) ask(names map[lang.Type][]string, r *rand.Rand) {
	for i := range lang.Relations {
		for j := range lang.Relations {
			one, two := &lang.Relations[i], &lang.Relations[j]
			if one.To != two.From || len(one.Phrases) == 0 || len(two.Questions) == 0 {
				continue
			}
			for _, e := range names[one.From] {
				w.questions = append(w.questions, w.question(lang.Question{Entity: e, First: one, Second: two}, r))
			}
		}
	}
	r.Shuffle(len(w.questions), func(i, j int) { w.questions[i], w.questions[j] = w.questions[j], w.questions[i] })
	for i := range w.questions {
		w.questions[i].ID = fmt.Sprintf("q%03d", i)
	}
}

func (w *World) question(q lang.Question, r *rand.Rand) Question {
	hop1 := w.facts[key{q.Entity, q.First.Noun}]
	hop2 := w.facts[key{hop1.Value, q.Second.Noun}]
	return Question{
		Question: q, Text: q.Ask(r.IntN(len(q.First.Phrases)), r.IntN(len(q.Second.Questions))),
		Answer: hop2.Value, Hops: [2]lang.Fact{hop1, hop2},
	}
}

// Questions are all of them, shuffled.
func (w *World) Questions() []Question { return w.questions }

// HeldOutQuestions are for evaluation only.
func (w *World) HeldOutQuestions() []Question { return w.questions[:HeldOut] }

// PoolQuestions are to grow on.
func (w *World) PoolQuestions() []Question { return w.questions[poolFrom : poolFrom+Pool] }

// Fact is the world's fact of an entity and a relation.
func (w *World) Fact(entity, noun string) (lang.Fact, bool) {
	f, ok := w.facts[key{entity, noun}]
	return f, ok
}
