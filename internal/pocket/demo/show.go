package demo

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/pocket/reader"
	"github.com/ratchet-rl/ratchet/internal/pocket/world"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Size of a course: so many questions of so many worlds.
const (
	Worlds    = 20
	Questions = 40
)

// Demonstration is one step: what the agent showed and what the teacher wrote.
type Demonstration struct {
	Kind               pb.StepKind
	Prompt, Completion string
}

// Limits of the agent that shows, and of pocket's demonstration runs.
func Limits() *pb.Limits { return &pb.Limits{Searches: 5, Results: 3} }

// Show runs a course with a teacher whose habits are dealt by the seed. Its worlds have seeds far from those that
// anybody would ask for.
func Show(seed int64, s Sloppiness, worlds, questions int) ([]Demonstration, error) {
	board := &board{teacher: NewTeacher(seed, s)}
	for i := range worlds {
		w := world.New(seed<<20 + int64(i) + 1)
		a := agent.Agent{Model: board, Tool: world.NewIndex(w.Passages), Settings: agent.Settings{
			Rendering: pb.Rendering_RENDERING_BARE, Seed: uint64(w.Seed), Limits: Limits(),
			Sampling: &pb.Sampling{Candidates: 1, Temperature: 1, MaxTokens: 1},
		}}
		for _, q := range w.Questions()[:questions] {
			id := &pb.Identity{Run: "demo", Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: q.ID}
			if err := run(&a, id, q.Text); err != nil {
				return nil, fmt.Errorf("question %q: %w", q.Text, err)
			}
		}
	}
	return board.shown, nil
}

func run(a *agent.Agent, id *pb.Identity, question string) error {
	s := agent.NewState(question, Limits())
	for {
		if _, more := s.Next(); !more {
			return nil
		}
		step, err := a.Step(context.Background(), id, s)
		if err != nil {
			return err
		}
		if err := s.Apply(step); err != nil {
			return err
		}
	}
}

// board keeps what a teacher is asked and writes.
type board struct {
	teacher Teacher
	shown   []Demonstration
}

// Sample implements agent.Model.
func (b *board) Sample(ctx context.Context, r agent.Request) (agent.Samples, error) {
	out, err := b.teacher.Sample(ctx, r)
	for _, s := range out.Samples {
		b.shown = append(b.shown, Demonstration{r.Kind, r.Prompt, s.Text})
	}
	return out, err
}

// Teacher is the demonstrator as a policy. It is immutable: its slips depend on the request's seed alone.
type Teacher struct{ habits habits }

// NewTeacher makes a teacher whose habits are dealt by the seed; without sloppiness there are none.
func NewTeacher(seed int64, s Sloppiness) Teacher {
	return Teacher{newHabits(s, rand.New(rand.NewPCG(uint64(seed), 0x74656163686572)))}
}

// Sample implements agent.Model: actions as the teacher would write them.
func (t Teacher) Sample(_ context.Context, r agent.Request) (agent.Samples, error) {
	s, ok := reader.ReadState(r.Prompt)
	if !ok {
		return agent.Samples{}, fmt.Errorf("the teacher cannot read this prompt:\n%s", r.Prompt)
	}
	out := agent.Samples{Calls: 1}
	for i := range max(r.N, 1) {
		turn := teacher{t.habits, rand.New(rand.NewPCG(uint64(r.Seed)+uint64(i), 0x736c6970))}
		out.Samples = append(out.Samples, agent.Sample{Text: turn.write(r.Kind, &s), Tokens: 1, FinishReason: "stop"})
	}
	return out, nil
}
