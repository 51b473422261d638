package trial

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/judge"
	"github.com/ratchet-rl/ratchet/internal/pocket/reader"
	"github.com/ratchet-rl/ratchet/internal/pocket/world"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Example to fine-tune on.
type Example struct{ Prompt, Completion string }

// Options of a trial.
type Options struct {
	World *world.World
	// Tool searches; nil is the world's own index.
	Tool agent.Tool
	// Limits of a trajectory.
	Limits *pb.Limits
	// Repetitions of an evaluation.
	Repetitions int
	// Generations to train.
	Generations int
	// GrowTemperature and Temperature sample while growing and in an evaluation.
	GrowTemperature, Temperature float64
	// Control also trains a generation 1 without the judge.
	Control bool
	// Tune trains a new policy from the base.
	Tune func(ctx context.Context, examples []Example, generation int) (agent.Model, error)
	// Report is called after every stage; it may be nil.
	Report func(stage string)
}

// Score of a policy on the held-out questions.
type Score struct {
	// Right is the share of right final answers, Draft that of right drafts, in [0, 1].
	Right, Draft float64
	// Failed is the share of trajectories that did not end in an answer.
	Failed float64
	// ByQuestion is the share of right final answers to each question.
	ByQuestion []float64
}

// Mixture says what a generation was trained on.
type Mixture struct {
	Examples int
	// Distinct is the mean number of distinct candidates per step, Changed the share of the steps whose target the
	// judge changed from the default.
	Distinct, Changed float64
}

// Result of a trial: one score per generation, from 0.
type Result struct {
	Scores   []Score
	Mixtures []Mixture // of generations 1, 2, ...
	Control  *Score    // generation 1 without the judge
}

// Run measures generation 0 and trains the generations after it.
func Run(ctx context.Context, o Options, start agent.Model) (Result, error) {
	var r Result
	if o.Tool == nil {
		o.Tool = world.NewIndex(o.World.Passages)
	}
	t := &trial{o}
	evaluate := func(m agent.Model, generation int, target string) (Score, error) {
		defer t.report("evaluated", generation)
		return t.evaluate(ctx, m, generation, target)
	}
	score, err := evaluate(start, 0, "own")
	if err != nil {
		return r, err
	}
	r.Scores = append(r.Scores, score)
	policy := start
	for g := 1; g <= o.Generations; g++ {
		grown, err := t.grow(ctx, policy, g)
		if err != nil {
			return r, err
		}
		t.report("grown", g)
		if g == 1 && o.Control {
			unjudged, err := o.Tune(ctx, defaults(grown), g)
			if err != nil {
				return r, err
			}
			score, err := evaluate(unjudged, g, "control")
			if err != nil {
				return r, err
			}
			r.Control = &score
		}
		examples, mixture, err := rank(grown)
		if err != nil {
			return r, err
		}
		if policy, err = o.Tune(ctx, examples, g); err != nil {
			return r, err
		}
		t.report("trained", g)
		score, err := evaluate(policy, g, "own")
		if err != nil {
			return r, err
		}
		r.Scores, r.Mixtures = append(r.Scores, score), append(r.Mixtures, mixture)
	}
	return r, nil
}

type trial struct{ o Options }

func (t *trial) report(what string, generation int) {
	if t.o.Report != nil {
		t.o.Report(fmt.Sprintf("generation %d %s", generation, what))
	}
}

func (t *trial) agent(m agent.Model, temperature float64) agent.Agent {
	return agent.Agent{Model: m, Tool: t.o.Tool, Settings: agent.Settings{
		Rendering: pb.Rendering_RENDERING_BARE, Limits: t.o.Limits, Seed: uint64(t.o.World.Seed),
		Sampling: &pb.Sampling{Candidates: 4, Temperature: temperature, MaxTokens: 128, Resamples: 2},
	}}
}

func (t *trial) grow(ctx context.Context, m agent.Model, generation int) ([]trajectory, error) {
	id := &pb.Identity{Run: "trial", Generation: int32(generation), Target: "own", Purpose: pb.Purpose_PURPOSE_GROW}
	all, err := playAll(ctx, t.agent(m, t.o.GrowTemperature), id, t.o.World.PoolQuestions(), 1)
	return slices.DeleteFunc(all, func(t trajectory) bool { return !t.completed }), err
}

func (t *trial) evaluate(ctx context.Context, m agent.Model, generation int, target string) (Score, error) {
	id := &pb.Identity{Run: "trial", Generation: int32(generation), Target: target, Purpose: pb.Purpose_PURPOSE_EVAL}
	questions := t.o.World.HeldOutQuestions()
	all, err := playAll(ctx, t.agent(m, t.o.Temperature), id, questions, t.o.Repetitions)
	if err != nil {
		return Score{}, err
	}
	s := Score{ByQuestion: make([]float64, len(questions))}
	for i, tr := range all {
		right, draft := tr.right(tr.answer), tr.right(tr.draft)
		s.Right += right / float64(len(all))
		s.Draft += draft / float64(len(all))
		s.ByQuestion[i/t.o.Repetitions] += right / float64(t.o.Repetitions)
		if !tr.completed {
			s.Failed += 1 / float64(len(all))
		}
	}
	return s, nil
}

// right is 1 if an answer states the question's, as the judge reads it.
func (t *trajectory) right(answer string) float64 {
	if !t.completed {
		return 0
	}
	verdict, _, err := judge.ParseVerdict(reader.Answer(judge.VerdictPrompt(t.question.Text, answer, t.question.Answer)))
	if err != nil || !verdict {
		return 0
	}
	return 1
}

// defaults are the examples without a judge: what continued each trajectory.
func defaults(grown []trajectory) []Example {
	var out []Example
	for _, t := range grown {
		for _, s := range t.steps {
			out = append(out, Example{s.prompt, s.GetCandidates()[s.GetChosen()].GetText()})
		}
	}
	return out
}

// rank are the examples with the judge's first choices.
func rank(grown []trajectory) ([]Example, Mixture, error) {
	out, m := defaults(grown), Mixture{}
	random := rand.New(rand.NewPCG(1, 2)) // of the slots
	i := 0
	for _, t := range grown {
		for _, s := range t.steps {
			distinct := candidates(s.Step)
			m.Distinct += float64(len(distinct)) / float64(len(out))
			best, err := first(s.prompt, distinct, random)
			if err != nil {
				return nil, m, fmt.Errorf("rank step %d of %s: %w", s.GetIndex(), t.question.ID, err)
			}
			if best != out[i].Completion {
				out[i].Completion = best
				m.Changed += 1 / float64(len(out))
			}
			i++
		}
	}
	m.Examples = len(out)
	return out, m, nil
}

// candidates are the distinct parsable outputs of a step, the default first.
func candidates(s *pb.Step) []string {
	out := []string{s.GetCandidates()[s.GetChosen()].GetText()}
	for _, c := range s.GetCandidates() {
		if c.GetParseError() == "" && !slices.Contains(out, c.GetText()) {
			out = append(out, c.GetText())
		}
	}
	return out
}

// first asks the judge for the best of the outputs, in shuffled slots.
func first(prompt string, outputs []string, random *rand.Rand) (string, error) {
	if len(outputs) == 1 {
		return outputs[0], nil
	}
	random.Shuffle(len(outputs), func(i, j int) { outputs[i], outputs[j] = outputs[j], outputs[i] })
	order, _, err := judge.ParseRanking(reader.Answer(judge.RankPrompt(prompt, outputs)), len(outputs))
	if err != nil {
		return "", err
	}
	return outputs[order[0]], nil
}
