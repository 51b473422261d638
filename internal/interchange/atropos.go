package interchange

// groupLine is a ScoredDataGroup of Atropos (NousResearch/atropos: atroposlib/envs/base.py, and ScoredData in
// atroposlib/api/server.py): the ranked candidates of one step, which answer one prompt.
//
// What is missing: tokens and masks. They need the tokenizer of the model to be trained, so that the file is what
// atroposlib/frontend/jsonl2html.py shows and what tokenize_for_trainer makes the rest of, message list by message list.
// Both keys are left out and not empty: a server takes a group of empty lists for one of no sequences.
type groupLine struct {
	Messages [][]message `json:"messages"`
	// Scores by rank: 1 for the best, -1 for the worst, equal distances between.
	Scores         []float64 `json:"scores"`
	GroupOverrides Origin    `json:"group_overrides"`
}

func (e *Encoder) group(step asked, from Origin, order []string) error {
	group := groupLine{GroupOverrides: from}
	for place, text := range order {
		group.Messages = append(group.Messages, chat(step.prompt, text))
		group.Scores = append(group.Scores, 1-2*float64(place)/float64(len(order)-1))
	}
	return e.line(group)
}
