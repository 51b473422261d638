package interchange

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// transcript is what other agents' records tell of a trajectory: thoughts, searches and what they found, an answer.
type transcript struct {
	question string
	turns    []turn
	// thought before the answer, and the answer.
	thought, answer string
}

// turn is a search: why, for what, and what it found.
type turn struct {
	thought, query string
	results        []*pb.SearchResult
}

// transcriptOf tells a trajectory that replays; false for another. What a model wrote about the results of a search is part
// of its next thought, as in ReAct. The draft and the comments of the self-checks have no place in it.
func transcriptOf(t *pb.Trajectory) (transcript, bool) {
	out := transcript{question: t.GetQuestion(), answer: t.GetAnswer()}
	var thoughts []string
	steps, done := 0, false
	for state, step := range agent.Replay(t) {
		if !usable(step, step.GetChosen()) {
			return out, false
		}
		action, err := agent.Parse(step.GetKind(), step.GetCandidates()[step.GetChosen()].GetText())
		if err != nil {
			return out, false
		}
		switch a := action.(type) {
		case agent.Search:
			out.turns = append(out.turns, turn{thought: joined(append(thoughts, a.Thoughts)), query: a.Query})
			thoughts = nil
		case agent.Selection:
			out.turns[len(out.turns)-1].results = state.Results()
			if step.GetSelectedBy() != Inferred {
				thoughts = []string{a.Summary, a.Thoughts}
			}
		case agent.Terminate:
			thoughts = append(thoughts, a.Thoughts)
		case agent.Answer:
			out.thought = joined(append(thoughts, a.Thoughts))
		}
		steps++
		done = step.GetKind() == pb.StepKind_STEP_KIND_GROUNDING
	}
	return out, done && steps == len(t.GetSteps())
}

// joined puts thoughts together, each once.
func joined(thoughts []string) string {
	var once []string
	for _, thought := range thoughts {
		if thought = strings.TrimSpace(thought); thought != "" && !slices.Contains(once, thought) {
			once = append(once, thought)
		}
	}
	return strings.Join(once, " ")
}

// trajectory makes a trajectory that replays. The thoughts, searches and the answer are steps that the text tells of; the
// selections and the self-checks, which the agent's state machine wants and the text has not, are inferred: selected is what
// the next thought cites, else everything that the search found, and nothing is revised.
func (x transcript) trajectory(id *pb.Identity) *pb.Trajectory {
	t := &pb.Trajectory{
		Identity: id, Question: x.question, Outcome: pb.Outcome_OUTCOME_COMPLETED, Draft: x.answer, Answer: x.answer,
		Policy: &pb.Policy{Name: Imported, Model: Imported, Rendering: pb.Rendering_RENDERING_BARE},
		Limits: &pb.Limits{Searches: agent.DefaultSearches, Results: agent.DefaultResults}, Usage: &pb.Usage{},
	}
	for i, turn := range x.turns {
		thought := x.thought // about what this search found
		if i+1 < len(x.turns) {
			thought = x.turns[i+1].thought
		}
		t.Limits.Searches = max(t.Limits.Searches, int32(i+1))
		t.Limits.Results = max(t.Limits.Results, int32(len(turn.results)))
		t.Steps = append(t.Steps, decision(turn.thought, call("Search", agent.Arg{Name: "query", Value: turn.query})), selection(thought, turn.results))
	}
	t.Steps = append(t.Steps, decision(x.thought, call("Terminate")), answerStep(x.thought, x.answer),
		check(pb.StepKind_STEP_KIND_RELEVANCE), check(pb.StepKind_STEP_KIND_GROUNDING))
	for i, step := range t.GetSteps() {
		step.Index = int32(i)
	}
	for state, step := range agent.Replay(t) {
		sum := sha256.Sum256([]byte(agent.Render(state, step.GetKind(), t.GetPolicy().GetRendering(), 0)))
		step.PromptSha256 = hex.EncodeToString(sum[:])
	}
	return t
}

func call(name string, args ...agent.Arg) *agent.Call { return &agent.Call{Name: name, Args: args} }

func step(kind pb.StepKind, rule, prefix string, action *agent.Call) *pb.Step {
	text := prefix + agent.Print(action) + "  " + agent.Stop
	return &pb.Step{Kind: kind, Template: agent.Template(kind), SelectedBy: rule, Candidates: []*pb.Candidate{{Text: text}}}
}

func decision(thoughts string, action *agent.Call) *pb.Step {
	return step(pb.StepKind_STEP_KIND_DECISION, Imported, "ACTION_SELECTED = ",
		call("ActionWrapper", agent.Arg{Name: "thoughts", Value: thoughts}, agent.Arg{Name: "action", Value: action}))
}

func selection(summary string, results []*pb.SearchResult) *pb.Step {
	links, all := []agent.Value{}, []agent.Value{}
	for _, r := range results {
		all = append(all, int64(r.GetLinkId()))
		if strings.Contains(summary, fmt.Sprintf("[link_id=%d]", r.GetLinkId())) {
			links = append(links, int64(r.GetLinkId()))
		}
	}
	if len(links) == 0 {
		links = all
	}
	s := step(pb.StepKind_STEP_KIND_SUMMARIZATION, Inferred, "ACTION_SELECTED: LinkSelection = ", call("LinkSelection",
		agent.Arg{Name: "grounded_summarization", Value: summary}, agent.Arg{Name: "thoughts", Value: ""},
		agent.Arg{Name: "selected_link_ids", Value: links}))
	s.Results = results
	return s
}

func answerStep(thoughts, answer string) *pb.Step {
	return step(pb.StepKind_STEP_KIND_ANSWER, Imported, "ACTION_SELECTED: Answer = ",
		call("Answer", agent.Arg{Name: "thoughts", Value: thoughts}, agent.Arg{Name: "answer", Value: answer}))
}

func check(kind pb.StepKind) *pb.Step {
	return step(kind, Inferred, "ACTION_SELECTED: Command = ", call("Check_Answer", agent.Arg{Name: "passed", Value: true}))
}

// identity of the n-th trajectory, from 0, of a file that names none.
func identity(file string, n int) *pb.Identity {
	stem, _, _ := strings.Cut(path.Base(strings.ReplaceAll(file, `\`, "/")), ".")
	name := config.Token(cmp.Or(stem, Imported))
	return &pb.Identity{
		Run: name, Generation: 0, Target: config.OwnTarget, Purpose: pb.Purpose_PURPOSE_GROW, Question: fmt.Sprintf("%s-%d", name, n),
	}
}
