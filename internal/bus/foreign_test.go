package bus_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func result(value string) *pb.Event {
	return &pb.Event{Run: "r", Body: &pb.Event_Result{Result: &pb.Result{Task: "a", Kind: "shout", Value: &structpb.Struct{
		Fields: map[string]*structpb.Value{"text": structpb.NewStringValue(value)},
	}}}}
}

// TestResultsOfOtherLanguages stand as ours do: JSON, without the header that holds the content's hash.
func TestResultsOfOtherLanguages(t *testing.T) {
	t.Parallel()
	conn, subject := devstack.TestBus(t), bus.ResultSubject("shout", "r", 0, "a")
	data, err := protojson.Marshal(result("HI"))
	if err != nil {
		t.Fatal(err)
	}
	conn.PublishRaw(t, subject, data)
	for value, conflict := range map[string]bool{"HI": false, "HO": true} {
		ack, err := conn.Publish(t.Context(), subject, result(value))
		if err != nil || !ack.Existing || ack.Conflict != conflict {
			t.Errorf("%s: %+v, %v; want it existing, conflict %t", value, ack, err, conflict)
		}
	}
}

// TestConflictInsideTheWindow: the server answers "duplicate" to an id that it knows, whatever the content.
func TestConflictInsideTheWindow(t *testing.T) {
	t.Parallel()
	conn, id := devstack.TestBus(t), identity("pool-1")
	for answer, want := range map[string]bus.Ack{"a": {Seq: 1, Existing: true}, "b": {Seq: 1, Existing: true, Conflict: true}} {
		if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a")); err != nil {
			t.Fatal(err)
		}
		if ack, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, answer)); err != nil || ack != want {
			t.Errorf("%s: %+v, %v; want %+v", answer, ack, err, want)
		}
	}
}

func TestPublishRefusesSubjectsThatAreNotOurs(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	for _, subject := range []string{"", "other", "ratchet.v1.task.*.r.0.a", "ratchet.v1.trajectory.r.0.own.grow.q", bus.RunSubject("r", "a b")} {
		if _, err := conn.Publish(t.Context(), subject, result("HI")); err == nil || !strings.Contains(err.Error(), "subject") {
			t.Errorf("%q: %v, want an error about the subject", subject, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("", []byte(`{"id":"a","result":{"task":"a"}}`))
	f.Add("application/json", []byte(" {}"))
	f.Add("", []byte("\x0a\x7b"+strings.Repeat("x", 0x7b))) // an id whose length is a brace
	f.Add("application/protobuf", []byte("\xff"))
	f.Fuzz(func(t *testing.T, contentType string, data []byte) {
		ev, err := bus.Decode(contentType, data)
		if err != nil {
			return
		}
		printed, err := proto.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		again, err := bus.Decode("", printed)
		if err != nil || !proto.Equal(ev, again) {
			t.Fatalf("%v is read again as %v, %v", ev, again, err)
		}
	})
}
