package agent

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Model samples continuations of a prompt. Safe for concurrent use. It retries what may pass; an error is final for
// now. ErrContextOverflow, wrapped, says that the prompt does not fit; ErrTooLong that nobody can read the reply.
type Model interface {
	Sample(ctx context.Context, r Request) (Samples, error)
}

// Request is one LLM call: N samples of one prompt.
type Request struct {
	Kind        pb.StepKind
	Prompt      string
	Stop        string
	N           int
	Temperature float64
	MaxTokens   int
	// Seed of the first sample; sample i has Seed+i.
	Seed int64
	// Affinity is the same for calls that share a prefix, for endpoints that cache.
	Affinity string
	// Grammar in GBNF that the text must follow; empty: any text.
	Grammar string
}

// Samples is a model's reply and what it cost.
type Samples struct {
	Samples                               []Sample
	PromptTokens, CompletionTokens, Calls int64
}

// Sample is one continuation, the stop marker included if the model wrote it.
type Sample struct {
	Text   string
	Tokens int
	// MeanLogprob is the mean natural log-probability per token at temperature 1, if HasLogprob.
	MeanLogprob  float64
	HasLogprob   bool
	FinishReason string

	tooLong error // there was a text, but nobody has read it
}

// Settings of an agent: its policy's, and the run's seed.
type Settings struct {
	Rendering pb.Rendering
	Shots     int
	Sampling  *pb.Sampling
	Limits    *pb.Limits
	Seed      uint64
}

// Agent plays trajectories, a step at a time.
type Agent struct {
	Model Model
	// Tool is the search.
	Tool Tool
	// Tools are others that the limits may name.
	Tools    map[string]Tool
	Settings Settings
}

// ErrContextOverflow means: the prompt is longer than the model takes.
var ErrContextOverflow = errors.New("the prompt does not fit into the model's context")

// ErrTooLong means: the model's reply is larger than the client takes, so none of its samples can be read.
var ErrTooLong = errors.New("the reply is too large")

// maxText is the largest candidate that is read, in bytes: no max_tokens that a server heeds comes near. What is longer
// is cut to the excerpt that shows what it was, and cannot be chosen: it would be in the journal, the trajectory and
// the next prompt for ever.
const (
	maxText     = 32 << 10
	textExcerpt = 4 << 10
)

var errNoSearches = errors.New("no searches are left; only Terminate is possible")

// Failure is the policy's own failure: the trajectory is over, and counts as wrong.
type Failure struct {
	Class  pb.FailureClass
	Reason string
}

func (f *Failure) Error() string { return f.Reason }

// FailureClass of the failure.
func (f *Failure) FailureClass() pb.FailureClass { return f.Class }

func failure(class pb.FailureClass, format string, args ...any) *Failure {
	return &Failure{Class: class, Reason: fmt.Sprintf(format, args...)}
}

// Step does the state's next LLM call, and the search before a summarization. It does not apply the step. With a Failure
// it returns the failed step too, so that what was paid for is kept.
func (a *Agent) Step(ctx context.Context, id *pb.Identity, s *State) (*pb.Step, error) {
	begin := time.Now()
	kind, going := s.Next()
	if !going {
		return nil, errors.New("the trajectory is over")
	}
	if s.lacks != nil {
		return nil, fmt.Errorf("%w: %w", ErrTool, s.lacks)
	}
	if s.taken >= s.most {
		return nil, failure(pb.FailureClass_FAILURE_CLASS_STEP_BUDGET, "more steps than %d searches need", a.Settings.Limits.GetSearches())
	}
	step := &pb.Step{Index: int32(s.taken), Kind: kind, Template: Template(kind), Chosen: -1, Usage: &pb.Usage{}}
	if kind == pb.StepKind_STEP_KIND_SUMMARIZATION {
		view := *s // the results are this attempt's: the caller's state waits for Apply
		s = &view
		if err := a.search(ctx, s); err != nil {
			return nil, err
		}
		step.Usage.Searches = 1
	}
	step.Results = s.results
	prompt := Render(s, kind, a.Settings.Rendering, a.Settings.Shots)
	step.PromptSha256 = promptHash(prompt)
	err := a.sample(ctx, id, s, step, prompt)
	step.ElapsedMs = time.Since(begin).Milliseconds()
	if err != nil && !errors.As(err, new(*Failure)) {
		return nil, err
	}
	return step, err
}

func (a *Agent) search(ctx context.Context, s *State) error {
	if d := a.Settings.Limits.GetSearchMs(); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(d)*time.Millisecond)
		defer cancel()
	}
	tool, err := a.tool(s.asked)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTool, err)
	}
	results, err := tool.Search(ctx, s.query, s.k)
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrTool, s.query, err)
	}
	s.present(results)
	return nil
}

// sample asks for candidates until one can be read, a bounded number of times, and chooses.
func (a *Agent) sample(ctx context.Context, id *pb.Identity, s *State, step *pb.Step, prompt string) error {
	for attempt := range 1 + int(a.Settings.Sampling.GetResamples()) {
		actions, err := a.ask(ctx, id, s, step, prompt, attempt)
		if err != nil {
			return err
		}
		if step.Chosen, step.SelectedBy = choose(step.GetCandidates(), actions); step.GetChosen() >= 0 {
			return nil
		}
	}
	return FailureOf(step)
}

// ask makes one call and appends its candidates; it returns the effect of every candidate so far, empty where it
// cannot be read.
func (a *Agent) ask(ctx context.Context, id *pb.Identity, s *State, step *pb.Step, prompt string, attempt int) ([]string, error) {
	if d := a.Settings.Limits.GetCallMs(); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(d)*time.Millisecond)
		defer cancel()
	}
	grammar := ""
	if a.Settings.Sampling.GetGrammar() {
		grammar = s.Grammar(int(a.Settings.Sampling.GetMaxTokens()))
	}
	reply, err := a.Model.Sample(ctx, Request{
		Kind: step.GetKind(), Prompt: prompt, Stop: Stop, N: max(1, int(a.Settings.Sampling.GetCandidates())),
		Temperature: a.Settings.Sampling.GetTemperature(), MaxTokens: int(a.Settings.Sampling.GetMaxTokens()),
		Seed: seed(a.Settings.Seed, id, step.GetIndex(), attempt), Affinity: KindName(step.GetKind()),
		Grammar: grammar,
	})
	if errors.Is(err, ErrTooLong) {
		reply.Samples, err = []Sample{{FinishReason: "length", tooLong: err}}, nil
	}
	if errors.Is(err, ErrContextOverflow) {
		return nil, failure(pb.FailureClass_FAILURE_CLASS_CONTEXT_OVERFLOW, "step %d: %v", step.GetIndex(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("step %d (%s): %w", step.GetIndex(), KindName(step.GetKind()), err)
	}
	step.Usage.Calls += reply.Calls
	step.Usage.PromptTokens += reply.PromptTokens
	step.Usage.CompletionTokens += reply.CompletionTokens
	for _, sample := range reply.Samples {
		step.Candidates = append(step.Candidates, candidate(s, step.GetKind(), sample))
	}
	actions := make([]string, len(step.GetCandidates()))
	for i, c := range step.GetCandidates() {
		if c.GetParseError() == "" {
			action, _ := Parse(step.GetKind(), c.GetText())
			actions[i] = effect(action)
		}
	}
	return actions, nil
}

func candidate(s *State, kind pb.StepKind, sample Sample) *pb.Candidate {
	text, err := bounded(sample)
	c := &pb.Candidate{Text: text, Tokens: int32(sample.Tokens), FinishReason: sample.FinishReason}
	if sample.HasLogprob && !math.IsNaN(sample.MeanLogprob) && !math.IsInf(sample.MeanLogprob, 0) {
		c.MeanLogprob = &sample.MeanLogprob
	}
	if err == nil {
		_, err = s.read(kind, text)
	}
	if err == nil && sample.FinishReason == "length" && !strings.Contains(text, Stop) {
		err = errTruncated // whole as far as it goes, but a revision may have been to follow
	}
	if err != nil {
		c.ParseError = err.Error()
	}
	return c
}

// bounded is what is kept of a sample's text, and why it cannot be read where that is not all.
func bounded(sample Sample) (string, error) {
	text := strings.ToValidUTF8(sample.Text, "\uFFFD") // protobuf takes no other
	if sample.tooLong != nil || len(text) <= maxText {
		return text, sample.tooLong
	}
	return strings.ToValidUTF8(text[:textExcerpt], ""), fmt.Errorf("the output has %d bytes; more than %d are not read, and only its beginning is kept", len(text), maxText)
}

// choose takes the readable candidate of the lowest perplexity, the first of equals. Where a readable candidate has no
// log-probability the whole step goes by the majority of equal actions: a made-up one would be certain.
func choose(candidates []*pb.Candidate, actions []string) (chosen int32, rule string) {
	chosen = -1
	votes := map[string]int{}
	rule = "perplexity"
	for i, c := range candidates {
		if c.GetParseError() != "" {
			continue
		}
		votes[actions[i]]++
		if c.MeanLogprob == nil {
			rule = "majority"
		}
	}
	better := func(i int32) bool {
		if rule == "majority" {
			return votes[actions[i]] > votes[actions[chosen]]
		}
		return candidates[i].GetMeanLogprob() > candidates[chosen].GetMeanLogprob()
	}
	for i := range int32(len(candidates)) {
		if candidates[i].GetParseError() == "" && (chosen < 0 || better(i)) {
			chosen = i
		}
	}
	if rule == "majority" && chosen >= 0 && votes[actions[chosen]] == 1 {
		rule = "first"
	}
	return chosen, rule
}

// FailureOf says why a step chose nothing: a policy that only wants to search on has spent its budget, any other cannot
// be read.
func FailureOf(step *pb.Step) *Failure {
	class := pb.FailureClass_FAILURE_CLASS_SEARCH_BUDGET
	for _, c := range step.GetCandidates() {
		if c.GetParseError() != errNoSearches.Error() {
			class = pb.FailureClass_FAILURE_CLASS_UNPARSABLE
		}
	}
	reason := "the endpoint sent no candidates"
	if n := len(step.GetCandidates()); n > 0 {
		reason = fmt.Sprintf("none of %d candidates could be read; the last: %s", n, step.GetCandidates()[n-1].GetParseError())
	}
	return failure(class, "step %d (%s): %s", step.GetIndex(), KindName(step.GetKind()), reason)
}

// seed derives from the run's seed and the call's identity, so that a repeated call asks for the same samples. It keeps
// to 30 bits: some servers take 32, and candidates count up from it.
func seed(run uint64, id *pb.Identity, index int32, attempt int) int64 {
	h := sha256.New()
	fmt.Fprintf(h, "%d|%s|%d|%s|%d|%s|%d|%d|%d", run, id.GetRun(), id.GetGeneration(), id.GetTarget(), id.GetPurpose(), id.GetQuestion(), id.GetSample(), index, attempt)
	return int64(binary.BigEndian.Uint64(h.Sum(nil)) >> 34)
}
