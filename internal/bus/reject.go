package bus

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// ErrRejected marks a message that is not what its subject says, which no retry mends. It is counted by reason
// (ratchet_bus_rejected_total) and logged where it is decoded; work becomes a dead letter, and whoever reads a stream
// goes on with the next message as if this one were not there.
var ErrRejected = errors.New("rejected")

// Reasons, as the metric names them.
const (
	reasonUndecodable = "undecodable" // no event
	reasonTooLarge    = "too_large"   // more than a reader would fetch
	reasonClaim       = "claim"       // the blob is not what the event claims
	reasonBody        = "body"        // a body that does not belong on the subject, or none that we know
	reasonIdentity    = "identity"    // it names something else than its subject does, or nothing of ours
	reasonOutcome     = "outcome"     // its header counts another outcome than its body has
	reasonReplayed    = "replayed"    // it says otherwise than an earlier one on its subject
)

// rejection is why a message is not read.
type rejection struct {
	reason string
	err    error
}

func (r *rejection) Error() string        { return fmt.Sprintf("rejected (%s): %v", r.reason, r.err) }
func (r *rejection) Unwrap() error        { return r.err }
func (r *rejection) Is(target error) bool { return target == ErrRejected }

func reject(reason, format string, args ...any) error {
	return &rejection{reason, fmt.Errorf(format, args...)}
}

// rejected counts and tells of an event that was rejected; other errors pass through it.
func (c *Conn) rejected(subject string, err error) error {
	var r *rejection
	if !errors.As(err, &r) {
		return err
	}
	stream := "none"
	if s, err := ParseSubject(subject); err == nil {
		stream = families[s.Family].stream
	}
	c.metrics.rejected.WithLabelValues(stream, r.reason).Inc()
	c.log.Warn("rejected: the message is not what its subject says", "subject", subject, "reason", r.reason, "error", r.err)
	return err
}

// bodies are the kinds of body that each family's subjects carry.
var bodies = map[string][]string{
	familyTask: {"task"}, familyStep: {"step", "attempt"}, familyTrajectory: {"trajectory"}, familyFeedback: {"feedback"},
	familyVerdict: {"verdict"}, familyResult: {"result"}, familyTraining: {"mixture", "job", "checkpoint", "deployment"},
	familyEval: {"report", "decision"}, familyRun: {"run_log"}, familyDead: {"dead_letter"},
}

// fits says whether an event is what its subject says: its body, and whatever both name. A reader believes subjects,
// because filters, permissions and the write-once rule go by them.
func fits(subject, outcome string, ev *pb.Event) error {
	s, err := ParseSubject(subject)
	if err != nil {
		return reject(reasonBody, "%w", err)
	}
	kind := kindOf(ev)
	what, _, _ := strings.Cut(s.What, "-") // report-1 is a report
	switch {
	case kind == "" && isNewer(ev) && !mustRead(s):
		return nil
	case kind == "":
		return reject(reasonBody, "an event on %s without a body that this version knows", subject)
	case !slices.Contains(bodies[s.Family], kind), (s.Family == familyTraining || s.Family == familyEval) && what != kind:
		return reject(reasonBody, "a body %s on %s", kind, subject)
	case ev.GetRun() != s.Run || hasGeneration(s.Family) && int(ev.GetGeneration()) != s.Generation:
		return reject(reasonIdentity, "the event is of run %q, generation %d; its subject is %s", ev.GetRun(), ev.GetGeneration(), subject)
	}
	if has, _ := resultOf(ev); outcome != "" && has != outcome {
		return reject(reasonOutcome, "the header says %q, the %s %q", outcome, kind, has)
	}
	for _, names := range named(s, ev) {
		if names.have != names.want {
			return reject(reasonIdentity, "the %s names %s %q; its subject is %s", kind, names.what, names.have, subject)
		}
	}
	return nil
}

// isNewer: the event has what this version does not know, perhaps its body. Who reads a log skips that.
func isNewer(ev *pb.Event) bool { return len(ev.ProtoReflect().GetUnknown()) > 0 }

// mustRead: a result or a task that is skipped would count as something else than it is.
func mustRead(s Subject) bool {
	return s.Identity != nil || s.Family == familyTask || s.Family == familyResult
}

func hasGeneration(family string) bool { return family != familyRun && family != familyDead }

// naming is something that an event names, and what its subject names there.
type naming struct{ what, have, want string }

// named is what the body and the subject both name.
func named(s Subject, ev *pb.Event) (all []naming) {
	same := func(what, have, want string) { all = append(all, naming{what, have, want}) }
	if body, ok := bodyOf(ev).(interface{ GetIdentity() *pb.Identity }); ok && s.Identity != nil {
		same("the trajectory", IDTokens(body.GetIdentity()), IDTokens(s.Identity))
	}
	if body, ok := bodyOf(ev).(interface{ GetTarget() string }); ok && s.What != "" && s.Target != "" {
		same("the target", body.GetTarget(), s.Target)
	}
	switch body := ev.GetBody().(type) {
	case *pb.Event_Feedback:
		same("the ranker", body.Feedback.GetRanker(), s.Kind)
	case *pb.Event_Verdict:
		same("the judge", body.Verdict.GetJudge(), s.Kind)
	case *pb.Event_Task:
		same("the kind", body.Task.GetKind(), s.Kind)
		same("the task", body.Task.GetId(), s.ID)
	case *pb.Event_Result:
		same("the kind", body.Result.GetKind(), s.Kind)
		same("the task", body.Result.GetTask(), s.ID)
	case *pb.Event_DeadLetter:
		same("the kind", body.DeadLetter.GetKind(), s.Kind)
		for _, id := range body.DeadLetter.GetIdentities() {
			same("the run", id.GetRun(), s.Run)
		}
	}
	return all
}

// bodyOf is the message in the event's body, nil if it has none.
func bodyOf(ev *pb.Event) proto.Message {
	m := ev.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("body"))
	if field == nil {
		return nil
	}
	return m.Get(field).Message().Interface()
}
