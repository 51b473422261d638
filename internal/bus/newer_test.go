package bus_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// unknown is a field that this schema does not have.
func unknown() protoreflect.RawFields {
	return protowire.AppendString(protowire.AppendTag(nil, 1999, protowire.BytesType), "of a newer version")
}

// What a newer version adds to an event passes through this one: publish, read, and encode again.
func TestNewerFieldsStay(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	step := &pb.Step{Index: 1}
	step.ProtoReflect().SetUnknown(unknown())
	id := identity("pool-1")
	known := &pb.Event{Run: "r", Generation: 1, Body: &pb.Event_Trajectory{Trajectory: &pb.Trajectory{Identity: id, Steps: []*pb.Step{step}}}}
	known.ProtoReflect().SetUnknown(unknown())
	body := &pb.Event{Run: "r"} // nothing in it but a body that nobody knows
	body.ProtoReflect().SetUnknown(unknown())
	for subject, ev := range map[string]*pb.Event{bus.TrajectorySubject(id): known, bus.RunSubject("r", "strange"): body} {
		if _, err := conn.Publish(t.Context(), subject, ev); err != nil {
			t.Fatal(err)
		}
		stream := bus.Runs
		if ev == known {
			stream = bus.Trajectories
		}
		m, err := conn.Last(t.Context(), stream, subject)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Event(t.Context())
		if err != nil || !proto.Equal(got, ev) {
			t.Fatalf("%s: %v, %v; want what was published", subject, got, err)
		}
		again, err := proto.Marshal(got)
		if err != nil || strings.Count(string(again), "of a newer version") != strings.Count(subject, "trajectory")+1 {
			t.Errorf("%s: %d bytes without the newer fields, %v", subject, len(again), err)
		}
	}
}

// A journal's identity is one trajectory's: no part of it is a wildcard.
func TestJournalOfWildcards(t *testing.T) {
	t.Parallel()
	conn := devstack.TestBus(t)
	for _, id := range []*pb.Identity{
		{Run: "*", Target: "own", Question: "q"}, {Run: "r", Target: ">", Question: "q"}, {Run: "r", Target: "own", Question: "q.*"}, {}, nil,
	} {
		if _, _, err := conn.OpenJournal(t.Context(), id); err == nil || !strings.Contains(err.Error(), "open journal: identity") {
			t.Errorf("%v: %v, want it refused", id, err)
		}
	}
}
