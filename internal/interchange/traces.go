package interchange

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// episodeRead is what is read of an episode: of a trace's many fields, those that tell what was asked, said and found.
type episodeRead struct {
	Traces []traceRead `json:"traces"`
}

type traceRead struct {
	Task struct {
		// Data is the task's own: most have the question in it.
		Data struct {
			Question json.RawMessage `json:"question"`
		} `json:"data"`
	} `json:"task"`
	Nodes []struct {
		Parent  *int        `json:"parent"`
		Message messageRead `json:"message"`
	} `json:"nodes"`
	Info traceInfo `json:"info"`
}

// messageRead is a message whose content may be a text or a list of parts.
type messageRead struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	Reasoning  string          `json:"reasoning_content"`
	ToolCalls  []toolCall      `json:"tool_calls"`
	ToolCallID string          `json:"tool_call_id"`
}

type toolCall struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// readEpisodes reads a traces.jsonl. An episode that Ratchet wrote gives back its record. Of another, the trace's last branch
// is read as a search agent's: a question, calls of a tool that take a query, their results, an answer.
func readEpisodes(file string, r io.Reader) iter.Seq2[*Record, error] {
	n := -1
	return jsonLines(file, r, func(l line) (*Record, error) {
		const expected = "an episode of verifiers: {\"task\": {...}, \"traces\": [{\"nodes\": [...], ...}]}"
		var e episodeRead
		if err := l.decode(&e, expected); err != nil {
			return nil, err
		}
		n++
		if len(e.Traces) != 1 {
			return nil, l.wrong("one trace, of one agent", "the episode has %d traces", len(e.Traces))
		}
		tr := &e.Traces[0]
		if tr.Info.Ratchet != nil {
			return tr.record(l)
		}
		x, err := tr.transcript()
		if err != nil {
			return nil, &Error{Place: l.place(), Problem: "the trace is not that of a search agent", Err: err, Expected: expected}
		}
		return &Record{Trajectory: x.trajectory(identity(file, n))}, nil
	})
}

// record is the record in a trace's info, if the graph says the same: somebody may have edited one of them.
func (tr *traceRead) record(l line) (*Record, error) {
	r, err := tr.Info.Ratchet.record()
	if err != nil {
		return nil, &Error{Place: l.place(), Problem: "info.ratchet is no record of Ratchet", Err: err}
	}
	var said []string
	for _, node := range tr.Nodes {
		if node.Message.Role == "assistant" {
			said = append(said, contentText(node.Message.Content))
		}
	}
	for i, step := range replies(r.Trajectory) {
		if i >= len(said) || said[i] != step {
			return nil, l.wrong("nodes as ratchet convert writes them, or no info.ratchet", "reply %d of the graph is not the one in info.ratchet", i)
		}
	}
	return r, nil
}

// replies are the texts that continued a trajectory, as far as it replays.
func replies(t *pb.Trajectory) []string {
	var texts []string
	for step := range (Options{}).steps(t) {
		if usable(step.Step, step.GetChosen()) {
			texts = append(texts, step.GetCandidates()[step.GetChosen()].GetText())
		}
	}
	return texts
}

// contentText is a message's text: a text, or parts of which some are texts.
func contentText(content json.RawMessage) string {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text
	}
	var parts []struct{ Type, Text string }
	if json.Unmarshal(content, &parts) != nil {
		return ""
	}
	var texts []string
	for _, part := range parts {
		if part.Type == "text" {
			texts = append(texts, part.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// branch is the path to the last node, root first.
func (tr *traceRead) branch() ([]messageRead, error) {
	var path []messageRead
	for at := len(tr.Nodes) - 1; at >= 0; {
		path = append(path, tr.Nodes[at].Message)
		parent := tr.Nodes[at].Parent
		if parent == nil {
			break
		}
		if *parent < 0 || *parent >= at {
			return nil, fmt.Errorf("nodes[%d].parent is %d; want one before it", at, *parent)
		}
		at = *parent
	}
	slices.Reverse(path)
	return path, nil
}

// transcript reads the last branch.
func (tr *traceRead) transcript() (x transcript, err error) {
	path, err := tr.branch()
	if err != nil {
		return x, err
	}
	found := map[string]string{} // what a call brought
	for _, m := range path {
		if m.Role == "tool" {
			found[m.ToolCallID] = contentText(m.Content)
		}
	}
	x.question = contentText(tr.Task.Data.Question)
	next := int32(1)
	for _, m := range path {
		switch m.Role {
		case "user":
			if x.question == "" {
				x.question = contentText(m.Content)
			}
		case "assistant":
			if err := x.said(m, found, &next); err != nil {
				return x, err
			}
		}
	}
	if x.question == "" || x.answer == "" {
		return x, fmt.Errorf("it has no question, or its last reply is no answer")
	}
	return x, nil
}

// said adds an assistant's message: searches, or the answer.
func (x *transcript) said(m messageRead, found map[string]string, next *int32) error {
	thought := joined([]string{m.Reasoning, contentText(m.Content)})
	if len(m.ToolCalls) == 0 {
		x.thought, x.answer = m.Reasoning, strings.TrimSpace(contentText(m.Content))
		return nil
	}
	x.answer = "" // what was said before is no answer
	for _, c := range m.ToolCalls {
		query, err := c.query()
		if err != nil {
			return err
		}
		results := readObservation(strings.TrimSpace(found[c.ID]), *next)
		*next += int32(len(results))
		x.turns = append(x.turns, turn{thought, query, results})
		thought = ""
	}
	if len(x.turns) > maxTurns {
		return fmt.Errorf("more than %d searches", maxTurns)
	}
	return nil
}

// query is what a call searches for.
func (c toolCall) query() (string, error) {
	var arguments map[string]any
	if err := json.Unmarshal([]byte(c.Arguments), &arguments); err != nil {
		return "", fmt.Errorf("the arguments of the call %s are no JSON object: %w", shorten(c.Name), err)
	}
	for _, name := range []string{"query", "q", "search_query"} {
		if query, ok := arguments[name].(string); ok && strings.TrimSpace(query) != "" {
			return strings.TrimSpace(query), nil
		}
	}
	return "", fmt.Errorf("the call %s has no query; this agent's only tool is the search", shorten(c.Name))
}
