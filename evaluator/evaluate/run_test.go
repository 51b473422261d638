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
	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// role is where evaluators run as pods run them, and a connection of the test's own to their bus.
type role struct {
	cfg   config.Config
	conn  *bus.Conn
	judge *scriptedJudge
}

func openRole(t *testing.T) *role {
	t.Helper()
	cfg := config.Default()
	cfg.Bus = devstack.TestConfig(devstack.TestNATS(t))
	cfg.Blob.URL = "file://" + t.TempDir()
	cfg.LLM = quickLLM()
	conn := devstack.TestConn(t, cfg.Bus)
	if err := errors.Join(conn.Apply(t.Context(), bus.NewTopology(cfg.Bus)), conn.AddJudge(t.Context(), "llm")); err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(t.Context(), cfg.Blob)
	if err != nil {
		t.Fatal(err)
	}
	judge := newScriptedJudge(t)
	spec, err := json.Marshal(testSpec(t, blobs, judge.url))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.KV(runstate.Bucket).Create(t.Context(), runstate.SpecKey("r"), spec); err != nil {
		t.Fatal(err)
	}
	return &role{cfg: cfg, conn: conn, judge: judge}
}

// process is one evaluator.
type process struct {
	env     *app.Env
	ctx     context.Context
	stop    context.CancelFunc
	stopped chan error
}

// process connects an evaluator to the bus at url.
func (r *role) process(t *testing.T, url string) *process {
	t.Helper()
	cfg := r.cfg
	cfg.Bus.URL = url
	env, err := app.Open(t.Context(), "evaluator", cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(env.Close)
	ctx, stop := context.WithCancel(t.Context())
	return &process{env: env, ctx: ctx, stop: stop, stopped: make(chan error, 1)}
}

func (p *process) run() { p.stopped <- Run(p.ctx, p.env) }

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
	r := openRole(t)
	p := r.process(t, r.cfg.Bus.URL)
	go p.run()
	if d := r.evaluate(t, 0, -1, "no idea"); d.GetRuling() != pb.Ruling_RULING_BASELINE {
		t.Errorf("generation 0: got %v: %s", d.GetRuling(), d.GetReason())
	}
	if d := r.evaluate(t, 1, 0, "right answer"); d.GetRuling() != pb.Ruling_RULING_PROMOTE {
		t.Errorf("generation 1: got %v: %s", d.GetRuling(), d.GetReason())
	}
	if d := r.evaluate(t, 2, 1, "no idea"); d.GetRuling() != pb.Ruling_RULING_REJECT {
		t.Errorf("generation 2: got %v: %s", d.GetRuling(), d.GetReason())
	}
	p.stop()
	if err := <-p.stopped; err != nil {
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
