package bus_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func FuzzIdentity(f *testing.F) {
	f.Add("demo", int32(1), "own", true, "pool-q1", int32(0))
	f.Add("Ümlaut run", int32(0), "x.y", false, "*", int32(9))
	f.Fuzz(func(t *testing.T, run string, generation int32, target string, eval bool, question string, sample int32) {
		if generation < 0 || sample < 0 {
			return
		}
		id := &pb.Identity{
			Run: bus.Token(run), Generation: generation, Target: bus.Token(target), Purpose: pb.Purpose_PURPOSE_GROW,
			Question: bus.Token(question), Sample: sample,
		}
		if eval {
			id.Purpose = pb.Purpose_PURPOSE_EVAL
		}
		for _, subject := range []string{bus.StepSubject(id), bus.TrajectorySubject(id), bus.FeedbackSubject("llm", id), bus.VerdictSubject("llm", id)} {
			s, err := bus.ParseSubject(subject)
			if err != nil || !proto.Equal(s.Identity, id) {
				t.Fatalf("%s: %v, %v", subject, s, err)
			}
		}
	})
}

func FuzzParseSubject(f *testing.F) {
	for _, s := range []string{
		bus.TaskSubject("rollout", "r", 1, "a"), bus.TrainingSubject("r", 1, "own", "mixture"), bus.EvalSubject("r", 0, "own", "report-1"),
		bus.RunSubject("r", "entered"), bus.DeadSubject("rollout", "r"), bus.ResultSubject("shout", "r", 0, "x"), "ratchet.v1.step.a.b", "other",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := bus.ParseSubject(text)
		if err != nil {
			return
		}
		var again string
		switch s.Family {
		case "task":
			again = bus.TaskSubject(s.Kind, s.Run, s.Generation, s.ID)
		case "result":
			again = bus.ResultSubject(s.Kind, s.Run, s.Generation, s.ID)
		case "training":
			again = bus.TrainingSubject(s.Run, s.Generation, s.Target, s.What)
		case "eval":
			again = bus.EvalSubject(s.Run, s.Generation, s.Target, s.What)
		case "run":
			again = bus.RunSubject(s.Run, s.What)
		case "dead":
			again = bus.DeadSubject(s.Kind, s.Run)
		case "step":
			again = bus.StepSubject(s.Identity)
		case "trajectory":
			again = bus.TrajectorySubject(s.Identity)
		case "feedback":
			again = bus.FeedbackSubject(s.Kind, s.Identity)
		case "verdict":
			again = bus.VerdictSubject(s.Kind, s.Identity)
		}
		if again != text {
			t.Fatalf("%q is read as %q", text, again)
		}
	})
}

// TestTopology holds the topology against a golden file; RATCHET_UPDATE=1 writes it.
func TestTopology(t *testing.T) {
	t.Parallel()
	have, err := json.MarshalIndent(bus.NewTopology(config.Default().Bus), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/topology.json", string(have)+"\n")
}

// golden compares with a file; RATCHET_UPDATE=1 writes it.
func golden(t *testing.T, file, have string) {
	t.Helper()
	if os.Getenv("RATCHET_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), have); diff != "" {
		t.Errorf("it has changed (-%s +now); RATCHET_UPDATE=1 go test ./internal/bus accepts it:\n%s", file, diff)
	}
}

// Nothing on the bus may grow until the disk is full.
func TestEverythingIsBounded(t *testing.T) {
	t.Parallel()
	topology := bus.NewTopology(config.Default().Bus)
	for _, s := range topology.Streams {
		if s.MaxBytes <= 0 || s.MaxMsgSize <= 0 && s.Name != bus.Advisory {
			t.Errorf("stream %s: %d bytes, %d a message", s.Name, s.MaxBytes, s.MaxMsgSize)
		}
	}
	for _, b := range topology.Buckets {
		if b.MaxBytes <= 0 || b.History == 0 {
			t.Errorf("bucket %s: %d bytes, %d revisions", b.Bucket, b.MaxBytes, b.History)
		}
	}
	for _, c := range topology.Consumers {
		if c.Config.MaxAckPending <= 0 || c.Config.MaxWaiting <= 0 || c.Config.MaxRequestBatch <= 0 || c.Config.MaxDeliver <= 0 {
			t.Errorf("consumer %s: %+v", c.Config.Durable, c.Config)
		}
	}
}
