package interchange

import (
	"context"
	"fmt"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/agent"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// player is a model that searches some times and answers; its candidates differ in what say makes of them.
type player struct {
	searches, found int
	say             func(candidate int, what string) string
	candidates      int
	results         int
}

func (p *player) Sample(_ context.Context, r agent.Request) (agent.Samples, error) {
	var samples agent.Samples
	for i := range p.candidates {
		samples.Samples = append(samples.Samples, agent.Sample{
			Text: p.output(r.Kind, i), Tokens: 9, MeanLogprob: -1 - float64((i+1)%p.candidates), HasLogprob: true, FinishReason: "stop",
		})
	}
	switch r.Kind {
	case pb.StepKind_STEP_KIND_DECISION:
		p.searches--
	case pb.StepKind_STEP_KIND_SUMMARIZATION:
		p.found += p.results
	}
	samples.Calls, samples.PromptTokens, samples.CompletionTokens = 1, 50, int64(9*p.candidates)
	return samples, nil
}

// output is a candidate as the exemplars lay it out.
func (p *player) output(kind pb.StepKind, i int) string {
	say := func(what string) string { return p.say(i, what) }
	thoughts := agent.Arg{Name: "thoughts", Value: say("thoughts")}
	var action *agent.Call
	switch {
	case kind == pb.StepKind_STEP_KIND_DECISION && p.searches > 0:
		action = call("ActionWrapper", thoughts, agent.Arg{Name: "action", Value: call("Search", agent.Arg{Name: "query", Value: "q" + say("query")})})
	case kind == pb.StepKind_STEP_KIND_DECISION:
		action = call("ActionWrapper", thoughts, agent.Arg{Name: "action", Value: call("Terminate")})
	case kind == pb.StepKind_STEP_KIND_SUMMARIZATION:
		links := []agent.Value{}
		if p.results > 0 {
			links = append(links, int64(p.found+1))
		}
		action = call("LinkSelection", agent.Arg{Name: "grounded_summarization", Value: say("summary")}, thoughts, agent.Arg{Name: "selected_link_ids", Value: links})
	case kind == pb.StepKind_STEP_KIND_ANSWER:
		action = call("Answer", thoughts, agent.Arg{Name: "answer", Value: "a" + say("answer")})
	case i == 0:
		return "# It is.\n" + agent.Print(call("Check_Answer", agent.Arg{Name: "passed", Value: true})) + "  " + agent.Stop
	default:
		action = call("Revise_Answer", agent.Arg{Name: "revised_answer", Value: "b" + say("answer")})
	}
	return agent.Print(action) + "  " + agent.Stop
}

// shelf finds as many pages for every query.
type shelf struct{ pages []*pb.SearchResult }

func (s shelf) Search(context.Context, string, int) ([]*pb.SearchResult, error) { return s.pages, nil }

var someone = &pb.Identity{Run: "demo", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-7", Sample: 2}

// play makes a completed trajectory.
func play(t interface{ Fatal(...any) }, question string, p *player, pages []*pb.SearchResult) *pb.Trajectory {
	p.results = len(pages)
	policy := &pb.Policy{
		Name: "pocket-0123456789", Endpoint: "http://127.0.0.1/v1", Model: "pocket", Rendering: pb.Rendering_RENDERING_BARE,
		Sampling: &pb.Sampling{Candidates: int32(p.candidates), Temperature: 0.5, MaxTokens: 256},
	}
	limits := &pb.Limits{Searches: 10, Results: 3}
	tr := &pb.Trajectory{Identity: someone, Policy: policy, Limits: limits, Question: question, Outcome: pb.Outcome_OUTCOME_COMPLETED, Usage: &pb.Usage{Searches: int64(p.searches)}}
	a := &agent.Agent{Model: p, Tool: shelf{pages}, Settings: agent.Settings{Rendering: policy.Rendering, Sampling: policy.Sampling, Limits: limits}}
	state := agent.NewState(question, limits)
	for _, more := state.Next(); more; _, more = state.Next() {
		step, err := a.Step(context.Background(), someone, state)
		if err != nil {
			t.Fatal(err)
		}
		step.ElapsedMs = 250
		if err := state.Apply(step); err != nil {
			t.Fatal(err)
		}
		tr.Steps = append(tr.Steps, step)
	}
	tr.Draft, tr.Answer = state.Draft(), state.Answer()
	return tr
}

// rank puts the candidates of every step into an order, best first.
func rank(t *pb.Trajectory, order ...int32) *pb.Feedback {
	f := &pb.Feedback{Identity: t.GetIdentity(), Ranker: "llm", Outcome: pb.Outcome_OUTCOME_COMPLETED}
	for _, step := range t.GetSteps() {
		f.Steps = append(f.Steps, &pb.StepRanking{Step: step.GetIndex(), Ranking: order, RankedBy: pb.RankedBy_RANKED_BY_RANKER, Explanation: "it is grounded"})
	}
	return f
}

// seat is a small trajectory of one search: two candidates a step, of which the ranker prefers the one that did not go on.
func seat(t testing.TB) *Record {
	say := func(i int, what string) string {
		texts := map[string][2]string{
			"thoughts": {"I should look.", "I need the seat of Wone Works."}, "query": {"wone", "uestion of the seat"},
			"summary": {"Nothing.", "According to [link_id=1], it is Dally."}, "answer": {" city", " city, Dally [link_id=1]"},
		}
		return texts[what][i]
	}
	pages := []*pb.SearchResult{{Title: "Wone Works", Snippet: "Wone Works is a company of <b>Dally</b>."}, {Title: "Dally", Snippet: "Dally is a city on the Ulm."}}
	tr := play(t, "Which city is the seat of Wone Works?", &player{searches: 1, say: say, candidates: 2}, pages)
	verdict := &pb.Verdict{Identity: tr.GetIdentity(), Judge: "llm", Outcome: pb.Outcome_OUTCOME_COMPLETED, AnswerRight: true, F1: 0.5}
	return &Record{Trajectory: tr, Feedback: []*pb.Feedback{rank(tr, 0, 1)}, Verdicts: []*pb.Verdict{verdict}}
}

// failed is a trajectory whose last step chose nothing.
func failed(t testing.TB) *Record {
	r := seat(t)
	tr := r.Trajectory
	tr.Identity = &pb.Identity{Run: "demo", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-8"}
	tr.Outcome, tr.Failure, tr.Reason, tr.Draft, tr.Answer = pb.Outcome_OUTCOME_FAILED, pb.FailureClass_FAILURE_CLASS_UNPARSABLE, "none of 2 candidates could be read", "", ""
	tr.Steps = tr.GetSteps()[:2]
	tr.Steps[1].Chosen = -1
	for i, c := range tr.Steps[1].GetCandidates() {
		c.Text, c.ParseError = fmt.Sprint("nonsense ", i), "no action in the output"
	}
	return &Record{Trajectory: tr}
}
