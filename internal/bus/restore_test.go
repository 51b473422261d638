package bus_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// A purge leaves the server its memory of message ids: what is published again under an old id must not be lost.
func TestPublishedAgainAfterAPurge(t *testing.T) {
	t.Parallel()
	conn, id := devstack.TestBus(t), identity("pool-1")
	log := func() *pb.Event {
		return &pb.Event{Id: "entered", Run: "r", Body: &pb.Event_RunLog{RunLog: &pb.RunLog{}}}
	}
	for range 2 {
		ack, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a"))
		if err != nil || ack.Existing {
			t.Fatalf("trajectory: %+v, %v", ack, err)
		}
		if ack, err = conn.Publish(t.Context(), bus.RunSubject("r", "entered"), log()); err != nil || ack.Existing {
			t.Fatalf("log: %+v, %v", ack, err)
		}
		journal, steps, err := conn.OpenJournal(t.Context(), id)
		if err != nil || len(steps) > 0 {
			t.Fatalf("%d steps, %v", len(steps), err)
		}
		for i := range int32(3) {
			if err := journal.Append(t.Context(), step(i, "same")); err != nil {
				t.Fatalf("append step %d: %v", i, err)
			}
		}
		for stream, want := range map[string]int{bus.Trajectories: 1, bus.Runs: 1, bus.Steps: 3} {
			if got := count(t, conn, stream); got != want {
				t.Fatalf("%s holds %d messages, want %d", stream, got, want)
			}
			if err := conn.Purge(t.Context(), stream, bus.RunFilter(stream, "r")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func count(t *testing.T, conn *bus.Conn, stream string) (n int) {
	t.Helper()
	for _, err := range conn.Read(t.Context(), stream) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestRestore(t *testing.T) {
	t.Parallel()
	from, to, id := devstack.TestBus(t), devstack.TestBus(t), identity("pool-1")
	subject := bus.TrajectorySubject(id)
	if _, err := from.Publish(t.Context(), subject, trajectory(id, "a")); err != nil {
		t.Fatal(err)
	}
	m, err := from.Last(t.Context(), bus.Trajectories, subject)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds it there
		if err := to.Restore(t.Context(), m.Stored()); err != nil {
			t.Fatal(err)
		}
	}
	back, err := to.Last(t.Context(), bus.Trajectories, subject)
	if err != nil || !back.Stored().Equal(m.Stored()) {
		t.Errorf("%+v, %v; want %+v", back, err, m.Stored())
	}
	other := m.Stored()
	other.Data = append(slices.Clone(other.Data), 0)
	if err := to.Restore(t.Context(), other); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("another content: %v", err)
	}
}

func TestStoredCheck(t *testing.T) {
	t.Parallel()
	good := bus.Stored{Subject: bus.RunSubject("r", "entered"), Header: map[string][]string{"Ratchet-Run": {"r"}}}
	for name, c := range map[string]struct {
		change func(*bus.Stored)
		want   string
	}{
		"good":            {func(*bus.Stored) {}, ""},
		"another run":     {func(s *bus.Stored) { s.Subject = bus.RunSubject("victim", "entered") }, "want one of run r"},
		"no subject":      {func(s *bus.Stored) { s.Subject = "$KV.models.promoted.r" }, "want it to begin with"},
		"wildcard":        {func(s *bus.Stored) { s.Subject = "ratchet.v1.run.r.>" }, "want [a-z0-9-]"},
		"server's header": {func(s *bus.Stored) { s.Header["nats-Rollup"] = []string{"all"} }, "may begin with Nats-"},
		"two headers":     {func(s *bus.Stored) { s.Header["a"] = []string{"b\r\nNats-Rollup: all"} }, "is none"},
	} {
		s := bus.Stored{Subject: good.Subject, Header: maps.Clone(good.Header)}
		c.change(&s)
		if err := s.Check("r"); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestErasedKey(t *testing.T) {
	t.Parallel()
	kv := devstack.TestBus(t).KV("models")
	for range 2 {
		if _, err := kv.Create(t.Context(), "promoted.r", []byte("a")); err != nil {
			t.Fatal(err)
		}
		if err := kv.Delete(t.Context(), "promoted.r"); err != nil {
			t.Fatal(err)
		}
		last, err := kv.Create(t.Context(), "promoted.r", []byte("b"))
		if err != nil {
			t.Fatal(err)
		}
		if all, err := kv.Revisions(t.Context()); err != nil || !maps.Equal(all, map[string]uint64{"promoted.r": last}) {
			t.Fatalf("%v, %v; want revision %d", all, err, last)
		}
		if all, err := kv.History(t.Context(), "promoted.r"); err != nil || len(all) != 2 {
			t.Fatalf("%v, %v: want two values and no deletion", all, err)
		}
		if err := kv.Erase(t.Context(), "promoted.r"); err != nil {
			t.Fatal(err)
		}
		if all, err := kv.Revisions(t.Context()); err != nil || len(all) != 0 {
			t.Fatalf("erased, but there: %v, %v", all, err)
		}
	}
}
