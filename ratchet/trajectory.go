package main

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type trajectoryCommand struct {
	Name       string `arg:"" name:"run" predictor:"run" help:"The run, or a trajectory's whole identity."`
	Question   string `arg:"" optional:"" help:"The question's token, or its id in its set."`
	Generation int    `default:"-1" help:"Of this generation only."`
	Target     string `help:"Of this target only."`
	Purpose    string `enum:"grow,eval,any" default:"any" help:"Of this purpose only: ${enum}."`
	Sample     int    `default:"-1" help:"This sample only."`
}

func (trajectoryCommand) Help() string {
	return `Every step with its search results and candidates: perplexity, CHOSEN (it continued), TARGET (a ranker would
train on it), its place in each ranking and why; then draft, final answer and verdict. Of several that match, the
last is shown and the others are named. A running trajectory is shown as far as it is.

    ratchet trajectory demo-7f3a heldout-12
    ratchet trajectory demo-7f3a pool-7 --generation 1
    ratchet trajectory demo-7f3a.1.own.grow.pool-7.0`
}

func (c *trajectoryCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	id, err := c.find(ctx, in, s)
	if err != nil {
		return err
	}
	story, err := history.ReadStory(ctx, s.bus, id)
	if err != nil {
		return err
	}
	return in.print(storyJSON(story), []string{bus.IDTokens(id)}, func(p view.Paint) string {
		return view.Story(story, width(in.out), p)
	})
}

// find is the identity that is meant.
func (c *trajectoryCommand) find(ctx context.Context, in *invocation, s *session) (*pb.Identity, error) {
	if strings.Contains(c.Name, ".") {
		id, err := bus.ParseID(c.Name)
		if err != nil {
			return nil, usage(err, "give a run and a question, or all six tokens")
		}
		return id, nil
	}
	spec, err := s.spec(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	for _, token := range tokensOf(spec, c.Question) {
		all, err := history.FindTrajectories(ctx, s.bus, c.query(token))
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			in.noteOthers(all)
			return all[len(all)-1], nil
		}
	}
	return nil, notFound("name another question, or drop --generation, --target, --purpose and --sample",
		"no trajectory of question %q in run %s", c.Question, c.Name)
}

func (c *trajectoryCommand) query(token string) history.Query {
	q := history.Query{Run: c.Name, Generation: c.Generation, Target: c.Target, Question: token, Sample: c.Sample}
	if c.Purpose != "any" {
		q.Purpose = c.Purpose
	}
	return q
}

// tokensOf is what a question may be called on the bus: its token, or its id with the name of one of the sets.
func tokensOf(spec config.Run, question string) []string {
	if question == "" {
		return []string{""}
	}
	var tokens []string
	if config.IsToken(question) {
		tokens = append(tokens, question)
	}
	for _, set := range []string{spec.Evaluation.Set.Name, spec.Questions.Name} {
		tokens = append(tokens, config.Token(set)+"-"+config.Token(question))
	}
	return tokens
}

// noteOthers names what else matched, as far as a few lines go.
func (in *invocation) noteOthers(all []*pb.Identity) {
	const few = 5
	if len(all) == 1 {
		return
	}
	in.note("%d trajectories match; the last one is shown. Others:", len(all))
	for _, id := range all[max(0, len(all)-1-few) : len(all)-1] {
		in.note("  %s", bus.IDTokens(id))
	}
}

// storyJSON is a story as JSON: the messages of the bus.
func storyJSON(s history.Story) any {
	return struct {
		Trajectory json.RawMessage   `json:"trajectory"`
		Running    bool              `json:"running"`
		Feedback   []json.RawMessage `json:"feedback"`
		Verdicts   []json.RawMessage `json:"verdicts"`
	}{history.JSON(s.Trajectory)[0], s.Running, history.JSON(s.Feedback...), history.JSON(s.Verdicts...)}
}
