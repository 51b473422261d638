package agent

import (
	"fmt"
	"slices"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Limits where none are given (paper, 3.1).
const (
	DefaultSearches = 10
	DefaultResults  = 3
)

// State is everything a prompt depends on (paper, section 2).
type State struct {
	question  string
	past      []Value // calls: Search, SelectLink, Terminate, Answer
	remaining int     // searches left
	taken     int     // steps so far
	most      int     // steps that the budget of searches can need
	k         int     // results shown per query
	nextLink  int32
	next      pb.StepKind
	// query is the search that the coming summarization is about, results what it found; nil until it was made.
	query   string
	results []*pb.SearchResult
	asked   form // what was asked the query
	draft   string
	answer  string
	done    bool
	forms   []form // of the tools there are, Search first
	lacks   error  // why a tool is not there
}

// NewState is the state before the first step.
func NewState(question string, l *pb.Limits) *State {
	s := &State{
		question: question, remaining: DefaultSearches, k: DefaultResults, nextLink: 1, next: pb.StepKind_STEP_KIND_DECISION,
	}
	if l.GetSearches() > 0 {
		s.remaining = int(l.GetSearches())
	}
	if l.GetResults() > 0 {
		s.k = int(l.GetResults())
	}
	s.forms, s.lacks = formsOf(l.GetTools())
	s.most = 2*s.remaining + 4 // n searches take n+1 decisions, n summarizations, an answer and two checks
	return s
}

// Next is the kind of the coming step; false when there is none.
func (s *State) Next() (pb.StepKind, bool) { return s.next, !s.done }

// Question as it was asked.
func (s *State) Question() string { return s.question }

// Remaining searches.
func (s *State) Remaining() int { return s.remaining }

// Draft is the answer before the self-checks, empty before there is one.
func (s *State) Draft() string { return s.draft }

// Answer is the answer as revised so far.
func (s *State) Answer() string { return s.answer }

// Query is the search whose results the coming summarization is about.
func (s *State) Query() string { return s.query }

// Results is what the coming summarization is shown.
func (s *State) Results() []*pb.SearchResult { return s.results }

// present gives the coming summarization its results: at most k, with link ids that go on from the last ones.
func (s *State) present(results []*pb.SearchResult) {
	s.results = make([]*pb.SearchResult, 0, s.k)
	for i, r := range results[:min(len(results), s.k)] {
		s.results = append(s.results, &pb.SearchResult{
			LinkId: s.nextLink + int32(i), Title: r.GetTitle(), Snippet: r.GetSnippet(), Url: r.GetUrl(),
		})
	}
}

// resume gives the state the results of a step that was journalled; their ids are part of the record.
func (s *State) resume(results []*pb.SearchResult) { s.results = results }

// read parses an output and holds it against the state: no search beyond the budget, no link that was not shown.
func (s *State) read(kind pb.StepKind, text string) (Action, error) {
	action, err := Parse(kind, text)
	if err != nil {
		return nil, err
	}
	switch a := action.(type) {
	case Search:
		if s.remaining == 0 {
			return nil, errNoSearches
		}
	case Use:
		f, there := find(s.forms, a.Tool)
		if !there {
			f, _ = find(forms, a.Tool)
			return nil, errNoAction(f.action)
		}
		if s.remaining == 0 {
			return nil, errNoSearches
		}
	case Selection:
		for _, id := range a.Links {
			if !slices.ContainsFunc(s.results, func(r *pb.SearchResult) bool { return r.GetLinkId() == id }) {
				return nil, fmt.Errorf("link %d is selected but was not shown", id)
			}
		}
	}
	return action, nil
}

// Apply advances the state by a finished step.
func (s *State) Apply(step *pb.Step) error {
	if s.done || step.GetKind() != s.next {
		return fmt.Errorf("step %d is a %s, want %s", step.GetIndex(), step.GetKind(), s.next)
	}
	if step.GetChosen() < 0 || int(step.GetChosen()) >= len(step.GetCandidates()) {
		return fmt.Errorf("step %d has no chosen candidate", step.GetIndex())
	}
	if step.GetKind() == pb.StepKind_STEP_KIND_SUMMARIZATION {
		s.resume(step.GetResults())
	}
	action, err := s.read(step.GetKind(), step.GetCandidates()[step.GetChosen()].GetText())
	if err != nil {
		return fmt.Errorf("step %d: %w", step.GetIndex(), err)
	}
	s.advance(action)
	s.taken++
	return nil
}

func (s *State) advance(action Action) {
	switch a := action.(type) {
	case Search:
		s.ask(searchForm, a.Query, a.Thoughts)
	case Use:
		f, _ := find(s.forms, a.Tool)
		s.ask(f, a.Query, a.Thoughts)
	case Selection:
		s.nextLink += int32(len(s.results))
		s.remember("SelectLink", Arg{"selected_links", s.selected(a.Links)}, Arg{"grounded_summarization", a.Summary}, Arg{"thoughts", a.Thoughts})
		s.query, s.results = "", nil
		s.next = pb.StepKind_STEP_KIND_DECISION
	case Terminate:
		s.remember("Terminate", Arg{"thoughts", a.Thoughts})
		s.next = pb.StepKind_STEP_KIND_ANSWER
	case Answer:
		s.draft, s.answer = a.Answer, a.Answer
		s.remember("Answer", Arg{"thoughts", a.Thoughts}, Arg{"answer", a.Answer})
		s.next = pb.StepKind_STEP_KIND_RELEVANCE
	case Check:
		if a.Revised != "" {
			s.answer = a.Revised // PAST_ACTIONS keeps the draft
		}
		s.done = s.next == pb.StepKind_STEP_KIND_GROUNDING
		s.next = pb.StepKind_STEP_KIND_GROUNDING
	}
}

// ask is a question to a tool, whose answer the next step summarizes.
func (s *State) ask(f form, query, thoughts string) {
	s.remaining--
	s.query, s.asked, s.results = query, f, nil
	s.remember(f.action, Arg{f.argument, query}, Arg{"thoughts", thoughts})
	s.next = pb.StepKind_STEP_KIND_SUMMARIZATION
}

func (s *State) remember(name string, args ...Arg) {
	s.past = append(s.past, &Call{Name: name, Args: args})
}

// selected keeps only the chosen results, in the order shown. The id comes last: a causal model reads the text first.
func (s *State) selected(ids []int32) []Value {
	items := []Value{}
	for _, r := range s.results {
		if slices.Contains(ids, r.GetLinkId()) {
			items = append(items, item(r))
		}
	}
	return items
}

func item(r *pb.SearchResult) *Call {
	return &Call{Name: "ResultItem", Args: []Arg{
		{"link_text", clean(r.GetTitle())}, {"snippet", clean(r.GetSnippet())}, {"link_id", int64(r.GetLinkId())},
	}}
}
