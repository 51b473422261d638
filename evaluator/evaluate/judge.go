package evaluate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/judge"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// specs reads a run's spec; an unknown run is bus.ErrNotFound.
type specs func(ctx context.Context, run string) (config.Run, error)

// judging gives verdicts in the name of one judge.
type judging struct {
	name    string
	conn    *bus.Conn
	model   *llm.Client
	gold    *goldSets
	spec    specs
	metrics *metrics
}

// handle gives the verdict on one finished trajectory. A trajectory of a run that named another judge is not
// ours, and one that has its verdict already needs no second one.
func (j *judging) handle(ctx context.Context, t *pb.Trajectory, ev *pb.Event) error {
	if t.GetIdentity() == nil {
		return worker.Permanent(errors.New("judge: the event has no trajectory with an identity"))
	}
	spec, err := j.spec(ctx, t.GetIdentity().GetRun())
	if err != nil {
		return fmt.Errorf("judge %s: %w", bus.IDTokens(t.GetIdentity()), err)
	}
	if spec.Evaluation.Judge != j.name {
		return nil
	}
	subject := bus.VerdictSubject(j.name, t.GetIdentity())
	if _, err := j.conn.Last(ctx, bus.Verdicts, subject); !errors.Is(err, bus.ErrNotFound) {
		return err
	}
	if t.GetOutcome() == pb.Outcome_OUTCOME_FAILED && !ownFailure(t.GetFailure()) {
		return worker.Permanent(worker.WithClass(t.GetFailure(), fmt.Errorf(
			"judge %s: no verdict, the infrastructure failed and not the policy: %s", bus.IDTokens(t.GetIdentity()), t.GetReason())))
	}
	verdict, err := j.verdict(ctx, spec, t)
	if err != nil {
		return fmt.Errorf("judge %s: %w", bus.IDTokens(t.GetIdentity()), err)
	}
	return j.publish(ctx, subject, ev, verdict)
}

func (j *judging) publish(ctx context.Context, subject string, of *pb.Event, v *pb.Verdict) error {
	ack, err := j.conn.Publish(ctx, subject, &pb.Event{
		Run: of.GetRun(), Generation: of.GetGeneration(), Traceparent: of.GetTraceparent(),
		Body: &pb.Event_Verdict{Verdict: v},
	})
	if err == nil && !ack.Existing {
		j.metrics.verdict(v)
	}
	return err
}

// ownFailure tells whether a class is the policy's own: it then counts as a wrong answer.
func ownFailure(class pb.FailureClass) bool {
	switch class {
	case pb.FailureClass_FAILURE_CLASS_UNPARSABLE, pb.FailureClass_FAILURE_CLASS_CONTEXT_OVERFLOW,
		pb.FailureClass_FAILURE_CLASS_STEP_BUDGET, pb.FailureClass_FAILURE_CLASS_SEARCH_BUDGET,
		pb.FailureClass_FAILURE_CLASS_DEADLINE:
		return true
	}
	return false
}

// verdict judges a completed trajectory, or writes down that the policy failed.
func (j *judging) verdict(ctx context.Context, spec config.Run, t *pb.Trajectory) (*pb.Verdict, error) {
	v := &pb.Verdict{Identity: t.GetIdentity(), Judge: j.name, Outcome: pb.Outcome_OUTCOME_COMPLETED}
	if t.GetOutcome() == pb.Outcome_OUTCOME_FAILED {
		v.Reason = fmt.Sprintf("wrong: the trajectory failed (%s): %s", bus.ClassName(t.GetFailure()), t.GetReason())
		return v, nil
	}
	set, err := j.gold.read(ctx, spec.Evaluation.Set.GoldURI)
	if err != nil {
		return nil, err
	}
	gold := set[t.GetIdentity().GetQuestion()]
	if len(gold) == 0 {
		return nil, worker.Permanent(fmt.Errorf("question %s has no gold answer in %s: expected one line for each question of the set",
			t.GetIdentity().GetQuestion(), spec.Evaluation.Set.GoldURI))
	}
	v.ExactMatch = judge.ExactMatch(t.GetAnswer(), gold)
	v.F1 = judge.F1(t.GetAnswer(), gold)
	v.Contains = judge.Contains(t.GetAnswer(), gold)
	if err := j.fill(ctx, v, spec, t, gold); err != nil {
		return nil, redactError(err, gold)
	}
	v.Usage.CostNano = spec.Cost(spec.Judge.Endpoint, spec.Judge.Model, v.GetUsage().GetPromptTokens(), v.GetUsage().GetCompletionTokens())
	return v, nil
}

// fill asks about the answer and, where it differs, about the draft.
func (j *judging) fill(ctx context.Context, v *pb.Verdict, spec config.Run, t *pb.Trajectory, gold []string) error {
	v.Prompt, v.Model, v.Usage = judge.VerdictVersion, spec.Judge.Model, &pb.Usage{}
	answer, err := j.opinion(ctx, spec, judge.VerdictPrompt(t.GetQuestion(), t.GetAnswer(), reference(gold)), v.Usage)
	if err != nil {
		return err
	}
	draft := answer
	if t.GetDraft() != t.GetAnswer() {
		draft, err = j.opinion(ctx, spec, judge.VerdictPrompt(t.GetQuestion(), t.GetDraft(), reference(gold)), v.Usage)
		if err != nil {
			return err
		}
	}
	v.AnswerRight, v.AnswerExplanation, v.AnswerVotes = answer.right, redact(answer.explanation, gold), answer.votes
	v.DraftRight, v.DraftExplanation, v.DraftVotes = draft.right, redact(draft.explanation, gold), draft.votes
	for _, o := range []opinion{answer, draft} {
		if o.failure != pb.FailureClass_FAILURE_CLASS_UNSPECIFIED {
			v.Outcome, v.Failure, v.Reason = pb.Outcome_OUTCOME_FAILED, o.failure, redact(o.reason, gold)
		}
	}
	return nil
}

// waitForEndpoint is how long a trajectory is left alone when the judge's endpoint stays down.
const waitForEndpoint = 10 * time.Second

func (j *judging) complete(
	ctx context.Context, model config.Model, prompt string, temperature float64, seed int64, usage *pb.Usage,
) (string, error) {
	if err := j.model.Ready(ctx, model.Endpoint); err != nil {
		return "", worker.Later(waitForEndpoint, fmt.Errorf("wait for the judge's endpoint %s: %w", model.Endpoint, err))
	}
	reply, err := j.model.Complete(ctx, llm.Request{
		Endpoint: model.Endpoint, Endpoints: model.Endpoints, Context: int64(model.Context), Model: model.Model, API: api(model.API), Prompt: prompt, N: 1,
		Temperature: temperature, MaxTokens: model.MaxTokens, Stop: []string{agent.Stop}, Seed: seed,
	})
	usage.Calls += reply.Calls
	usage.PromptTokens += reply.PromptTokens
	usage.CompletionTokens += reply.CompletionTokens
	if err != nil {
		return "", err
	}
	if len(reply.Choices) == 0 {
		return "", fmt.Errorf("the judge's endpoint %s returned no choice", model.Endpoint)
	}
	return reply.Choices[0].Text, nil
}

func api(name string) pb.Api {
	if name == "completions" {
		return pb.Api_API_COMPLETIONS
	}
	return pb.Api_API_CHAT
}
