package interchange

import (
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// The trace store of verifiers, which prime-rl shares: traces.jsonl, an episode a line (PrimeIntellect-ai/verifiers:
// verifiers/v1/episode.py, trace.py, graph.py, types.py; schema version 1). An episode here has one trace, and a trace the
// graph of what the policy was asked and said: each step is a root with its prompt and a sampled reply, so that every branch
// is one call as it was made. The record itself is in the trace's info, under "ratchet": the other candidates and the
// results of the searches have no place elsewhere.
//
// What is missing: token ids, masks and log-probabilities, which the bus does not carry (a trainer of verifiers makes them
// with its renderer), and the time of day: times count from the trajectory's beginning.
type episode struct {
	ID        string       `json:"id"`
	Env       named        `json:"env"`
	Task      traceTask    `json:"task"`
	Group     *named       `json:"group,omitempty"`
	OK        bool         `json:"ok"`
	IsTimeout bool         `json:"is_timeout"`
	Errors    []traceError `json:"errors"`
	Traces    []trace      `json:"traces"`
}

type named struct {
	ID string `json:"id"`
}

type traceTask struct {
	Type string   `json:"type"`
	Data taskData `json:"data"`
	Key  string   `json:"key,omitempty"`
}

type taskData struct {
	ID     string `json:"id"`
	Prompt string `json:"prompt"`
}

type traceError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

type trace struct {
	Version       int                `json:"version"`
	ID            string             `json:"id"`
	Verifiers     traceVersion       `json:"verifiers"`
	Task          traceTask          `json:"task"`
	Agent         traceAgent         `json:"agent"`
	Nodes         []traceNode        `json:"nodes"`
	Calls         []traceCall        `json:"calls"`
	Rewards       map[string]reward  `json:"rewards"`
	Metrics       map[string]float64 `json:"metrics"`
	Info          traceInfo          `json:"info"`
	IsCompleted   bool               `json:"is_completed"`
	OK            bool               `json:"ok"`
	StopCondition string             `json:"stop_condition,omitempty"`
	IsTimeout     bool               `json:"is_timeout"`
	Errors        []traceError       `json:"errors"`
	Timing        traceTiming        `json:"timing"`
}

type traceVersion struct {
	Version string `json:"version"`
}

type traceAgent struct {
	Config    agentConfig `json:"config"`
	Name      string      `json:"name"`
	Trainable bool        `json:"trainable"`
}

type agentConfig struct {
	Model    string    `json:"model,omitempty"`
	Sampling *sampling `json:"sampling,omitempty"`
}

// sampling as a call is made; n is no setting of verifiers, which keeps what it does not know.
type sampling struct {
	Temperature float64 `json:"temperature"`
	MaxTokens   int32   `json:"max_tokens,omitempty"`
	N           int32   `json:"n,omitempty"`
}

type traceNode struct {
	Parent    *int    `json:"parent,omitempty"`
	Message   message `json:"message"`
	Sampled   bool    `json:"sampled"`
	Timestamp float64 `json:"timestamp"`
}

type traceCall struct {
	Node         *int       `json:"node,omitempty"`
	Model        string     `json:"model"`
	Sampling     *sampling  `json:"sampling,omitempty"`
	Endpoint     string     `json:"endpoint"`
	FinishReason string     `json:"finish_reason,omitempty"`
	Usage        traceUsage `json:"usage"`
	Time         traceSpan  `json:"time"`
}

type traceUsage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
}

type traceSpan struct {
	Start float64 `json:"start"`
	End   float64 `json:"end"`
}

type traceTiming struct {
	Start float64   `json:"start"`
	Agent traceSpan `json:"agent"`
}

type reward struct {
	Score  float64 `json:"score"`
	Weight float64 `json:"weight"`
}

type traceInfo struct {
	Ratchet *own `json:"ratchet,omitempty"`
}

// verifiersVersion is the release whose schema this is.
const verifiersVersion = "0.4.0"

// episode writes a trajectory as an episode of one trace.
func (e *Encoder) episode(r *Record) error {
	t := r.Trajectory
	id := bus.IDTokens(t.GetIdentity())
	record := ownOf(r)
	tr := trace{
		Version: 1, ID: id, Verifiers: traceVersion{verifiersVersion}, Task: taskOf(t), Agent: agentOf(t),
		Nodes: []traceNode{}, Calls: []traceCall{}, Rewards: map[string]reward{}, Metrics: map[string]float64{},
		Info: traceInfo{&record}, IsCompleted: true, OK: t.GetOutcome() == pb.Outcome_OUTCOME_COMPLETED, Errors: []traceError{},
		StopCondition: "agent_completed", IsTimeout: t.GetFailure() == pb.FailureClass_FAILURE_CLASS_DEADLINE,
	}
	if !tr.OK {
		tr.StopCondition = "agent_error"
		tr.Errors = []traceError{{className(t.GetFailure()), t.GetReason()}}
	}
	for step := range e.options.steps(t) {
		tr.add(t, step)
	}
	tr.Timing.Agent.End = tr.elapsed()
	if err := e.score(&tr, r); err != nil {
		return err
	}
	group := id[:strings.LastIndexByte(id, '.')] // all samples of the question
	return e.line(episode{
		ID: id, Env: named{"ratchet"}, Task: tr.Task, Group: &named{group}, OK: tr.OK, IsTimeout: tr.IsTimeout, Errors: tr.Errors,
		Traces: []trace{tr},
	})
}

func className(class pb.FailureClass) string {
	return strings.ToLower(strings.TrimPrefix(class.String(), "FAILURE_CLASS_"))
}

func taskOf(t *pb.Trajectory) traceTask {
	token := t.GetIdentity().GetQuestion()
	return traceTask{Type: "ratchet", Key: token, Data: taskData{token, t.GetQuestion()}}
}

func agentOf(t *pb.Trajectory) traceAgent {
	return traceAgent{Config: agentConfig{Model: t.GetPolicy().GetModel(), Sampling: samplingOf(t)}, Name: t.GetIdentity().GetTarget(), Trainable: true}
}

func samplingOf(t *pb.Trajectory) *sampling {
	s := t.GetPolicy().GetSampling()
	if s == nil {
		return nil
	}
	return &sampling{s.GetTemperature(), s.GetMaxTokens(), s.GetCandidates()}
}

// elapsed is the time that the calls so far took.
func (tr *trace) elapsed() float64 {
	if len(tr.Calls) == 0 {
		return 0
	}
	return tr.Calls[len(tr.Calls)-1].Time.End
}

// add puts a step into the graph: its prompt, what was said, and the call. A step that chose nothing has no reply.
func (tr *trace) add(t *pb.Trajectory, step asked) {
	begin := tr.elapsed()
	end := begin + float64(step.GetElapsedMs())/1000
	prompt := len(tr.Nodes)
	tr.Nodes = append(tr.Nodes, traceNode{Message: message{"user", step.prompt}, Timestamp: begin})
	call := traceCall{
		Model: t.GetPolicy().GetModel(), Sampling: samplingOf(t), Endpoint: "/completions", Time: traceSpan{begin, end},
		Usage: traceUsage{step.GetUsage().GetPromptTokens(), step.GetUsage().GetCompletionTokens()},
	}
	if t.GetPolicy().GetApi() == pb.Api_API_CHAT {
		call.Endpoint = "/chat/completions"
	}
	if usable(step.Step, step.GetChosen()) {
		chosen, reply := step.GetCandidates()[step.GetChosen()], len(tr.Nodes)
		tr.Nodes = append(tr.Nodes, traceNode{
			Parent: &prompt, Message: message{"assistant", chosen.GetText()},
			Sampled: step.GetSelectedBy() != Inferred, Timestamp: end,
		})
		call.Node = &reply
		if reason := chosen.GetFinishReason(); reason == "stop" || reason == "length" {
			call.FinishReason = reason
		}
	}
	tr.Calls = append(tr.Calls, call)
}

// score gives a trace its reward: the judge's verdict on the answer, else the share of steps whose default the ranker put
// first. Without either it has none.
func (e *Encoder) score(tr *trace, r *Record) error {
	verdict, err := e.options.verdict(r)
	if err != nil {
		return err
	}
	feedback, err := e.options.feedback(r)
	if err != nil {
		return err
	}
	tr.Metrics["steps"] = float64(len(r.Trajectory.GetSteps()))
	tr.Metrics["searches"] = float64(r.Trajectory.GetUsage().GetSearches())
	if feedback != nil {
		tr.Metrics["ranked_first"] = rankedFirst(r.Trajectory, feedback)
	}
	switch {
	case verdict.GetOutcome() == pb.Outcome_OUTCOME_COMPLETED:
		tr.Rewards["answer_right"] = reward{score(verdict.GetAnswerRight()), 1}
		tr.Metrics["draft_right"] = score(verdict.GetDraftRight())
		tr.Metrics["exact_match"] = score(verdict.GetExactMatch())
		tr.Metrics["f1"] = verdict.GetF1()
	case feedback != nil:
		tr.Rewards["ranked_first"] = reward{tr.Metrics["ranked_first"], 1}
	}
	return nil
}

func score(right bool) float64 {
	if right {
		return 1
	}
	return 0
}

// rankedFirst is the share of steps whose default the ranker put first.
func rankedFirst(t *pb.Trajectory, f *pb.Feedback) float64 {
	first := 0
	for _, step := range t.GetSteps() {
		order := ranked(step, ranking(f, step.GetIndex()))
		if len(order) > 0 && usable(step, step.GetChosen()) && order[0] == Completion(step.GetCandidates()[step.GetChosen()].GetText()) {
			first++
		}
	}
	return float64(first) / float64(max(len(t.GetSteps()), 1))
}
