package e2e

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Events of a newer version, with a body and a field that nobody here knows, lie in every stream while a run goes on:
// each reader passes over them, and they stay for those who can read them.
func TestNewerEvents(t *testing.T) {
	long(t)
	want, plain := reference(t)
	s := newSite(t)
	up := start(t, s.config, "ratchet", "up")
	s.submit(t)
	conn, begin := s.connect(t), time.Now()
	published := s.publishNewer(t, s.connectAs(t, bus.RoleKeeper))
	s.finish(t, conn)
	t.Logf("with %d events of a newer version: %v in %v", len(published), s.course, time.Since(begin).Round(time.Millisecond))
	same(t, want, s.outcome(t, conn))
	if got, want := s.course.String(), plain.String(); got != want {
		t.Errorf("%s; want %s, as undisturbed", got, want)
	}
	for subject, stream := range published {
		m, err := conn.Last(t.Context(), stream, subject)
		if err != nil {
			t.Errorf("%s is gone from %s: %v", subject, stream, err)
			continue
		}
		ev, err := m.Event(t.Context())
		if errors.Is(err, bus.ErrRejected) { // a result: passed over, it would count as something else than it is
			continue
		}
		if err != nil || ev.GetBody() != nil || len(ev.ProtoReflect().GetUnknown()) == 0 {
			t.Errorf("%s: %v, %v; want the body that nobody knows", subject, ev, err)
		}
	}
	for _, args := range [][]string{
		{"status"},
		{"status", runName},
		{"ledger", runName},
		{"report", runName},
		{"lineage", runName + "/1"},
		{"dead", "list"},
		{"trajectory", runName},
		{"trajectory", runName, "-o", "json"},
	} {
		if out, err := ratchet(t, s.config, args...); err != nil {
			t.Errorf("ratchet %q: %v\n%s", args, err, out)
		}
	}
	if up.ended() {
		t.Error("ratchet up has ended by itself")
	}
}

// publishNewer publishes an event of a newer version on every stream of results, of the run where what it says is
// not a count of the run's, else of another one; it returns the subjects with their streams.
func (s site) publishNewer(t *testing.T, conn *bus.Conn) map[string]string {
	t.Helper()
	stranger := &pb.Identity{Run: "newer", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-1"}
	examined := &pb.Identity{Run: "newer", Generation: 1, Target: "own", Purpose: pb.Purpose_PURPOSE_EVAL, Question: "heldout-1"}
	published := map[string]string{
		bus.RunSubject(runName, "dreamt"):                 bus.Runs,
		bus.TrainingSubject(runName, 1, "own", "dream"):   bus.Training,
		bus.EvalSubject(runName, 1, "own", "dream"):       bus.Evals,
		bus.DeadSubject("dreamer", runName):               bus.Dead,
		bus.StepSubject(stranger):                         bus.Steps,
		bus.TrajectorySubject(stranger):                   bus.Trajectories,
		bus.TrajectorySubject(examined):                   bus.Trajectories,
		bus.FeedbackSubject("llm", stranger):              bus.Feedback,
		bus.VerdictSubject("llm", examined):               bus.Verdicts,
		bus.ResultSubject("dreamer", runName, 1, "dream"): bus.Results,
	}
	for subject := range published {
		parsed, err := bus.ParseSubject(subject)
		if err != nil {
			t.Fatal(err)
		}
		ev := &pb.Event{Run: parsed.Run}
		ev.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 1999, protowire.BytesType), "a body of a newer version"))
		if _, err := conn.Publish(t.Context(), subject, ev); err != nil {
			t.Fatal(err)
		}
	}
	return published
}
