package evaluate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// role is the whole evaluator as a pod runs it, and a connection of the test's own to its bus.
type role struct {
	conn    *bus.Conn
	judge   *scriptedJudge
	stop    context.CancelFunc
	stopped <-chan error
}

func startRole(t *testing.T) *role {
	t.Helper()
	cfg := config.Default()
	cfg.Bus = devstack.TestConfig(devstack.TestNATS(t))
	cfg.Blob.URL = "file://" + t.TempDir()
	cfg.LLM = quickLLM()
	conn := devstack.TestConn(t, cfg.Bus)
	if err := errors.Join(conn.Apply(t.Context(), bus.NewTopology(cfg.Bus)), conn.AddJudge(t.Context(), "llm")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	env, err := app.Open(ctx, "evaluator", cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	judge := newScriptedJudge(t)
	spec, err := json.Marshal(testSpec(t, env.Blobs, judge.url))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.KV(runstate.Bucket).Create(ctx, runstate.SpecKey("r"), spec); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() {
		defer env.Close()
		stopped <- Run(ctx, env)
	}()
	return &role{conn: conn, judge: judge, stop: stop, stopped: stopped}
}

// until follows a stream until n messages match.
func (r *role) until(t *testing.T, stream, filter string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	enough := errors.New("enough")
	err := r.conn.Follow(ctx, stream, bus.FollowOptions{Filters: []string{filter}}, func(*bus.Message) error {
		if n--; n == 0 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("waited for %d more messages on %s: %v", n, filter, err)
	}
}

// evaluate publishes a generation's trajectories, waits for the verdicts and has them decided on.
func (r *role) evaluate(t *testing.T, g, incumbent int, answer string) *pb.Decision {
	t.Helper()
	const repetitions = 3
	for q := range questions {
		for s := range repetitions {
			of := trajectory(g, q, s, "wrong draft", answer)
			if _, err := r.conn.Publish(t.Context(), bus.TrajectorySubject(of.GetIdentity()), eventOf(of)); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.until(t, bus.Verdicts, bus.GenerationFilter(bus.Verdicts, "r", g), questions*repetitions)
	if err := r.conn.PublishTask(t.Context(), "r", g, task(g, incumbent, repetitions).Task); err != nil {
		t.Fatal(err)
	}
	subject := evalSubject("r", g, "own", "decision", repetitions)
	r.until(t, bus.Evals, subject, 1)
	message, err := r.conn.Last(t.Context(), bus.Evals, subject)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := message.Event(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ev.GetDecision()
}

// TestRole runs two generations through the evaluator. The scripted judge quotes the reference in each
// explanation; no byte of it may be found anywhere on the bus.
func TestRole(t *testing.T) {
	t.Parallel()
	r := startRole(t)
	if d := r.evaluate(t, 0, -1, "no idea"); d.GetRuling() != pb.Ruling_RULING_BASELINE {
		t.Errorf("generation 0: got %v: %s", d.GetRuling(), d.GetReason())
	}
	if d := r.evaluate(t, 1, 0, "right answer"); d.GetRuling() != pb.Ruling_RULING_PROMOTE {
		t.Errorf("generation 1: got %v: %s", d.GetRuling(), d.GetReason())
	}
	if d := r.evaluate(t, 2, 1, "no idea"); d.GetRuling() != pb.Ruling_RULING_REJECT {
		t.Errorf("generation 2: got %v: %s", d.GetRuling(), d.GetReason())
	}
	r.stop()
	if err := <-r.stopped; err != nil {
		t.Errorf("stopped with %v", err)
	}
	checkNoGold(t, r.conn)
}

func checkNoGold(t *testing.T, conn *bus.Conn) {
	t.Helper()
	streams, err := conn.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	read, explained := 0, false
	for _, stream := range streams {
		if stream.Name == bus.Tasks { // a queue cannot be read without taking from it; the evaluator publishes no task
			continue
		}
		for message, err := range conn.Read(t.Context(), stream.Name) {
			if err != nil {
				t.Fatal(err)
			}
			read++
			explained = explained || bytes.Contains(message.Data, []byte(redacted))
			if bytes.Contains(message.Data, []byte("gold-0")) {
				t.Errorf("%s holds a gold answer", message.Subject)
			}
		}
	}
	if read < 6*questions || !explained {
		t.Errorf("read %d messages, explanations among them: %v; the check saw too little", read, explained)
	}
}
