package archive_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// The archive of what was imported is the archive, byte for byte: in another installation, whose store has other URIs and
// whose streams have other numbers, and in the same one after everything was removed.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		finished bool
		seen     int
	}{"finished": {true, 0}, "unfinished, with dead letters forgiven": {false, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := newSite(t), newSite(t)
			from.begin("other", 1)
			from.begin(run, 3)
			from.state(run, c.finished, c.seen)
			file := from.export(run)
			to.begin("neighbour", 2) // sequence numbers differ
			for i := range 2 {
				existing, err := to.load(file)
				if err != nil || existing != (i == 1) {
					t.Fatalf("import %d: existing %t, %v", i, existing, err)
				}
				if !bytes.Equal(to.export(run), file) {
					t.Fatalf("import %d: the archive of what was imported differs", i)
				}
			}
			from.wipe(run)
			if _, err := from.load(file); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(from.export(run), file) {
				t.Fatal("the archive of what was removed and imported again differs")
			}
			to.readable()
		})
	}
}

// readable follows the URIs as readers do.
func (s *site) readable() {
	s.t.Helper()
	for _, stream := range []string{bus.Trajectories, bus.Training, bus.Dead} {
		for m, err := range s.Bus.Read(s.ctx(), stream, bus.RunFilter(stream, run)) {
			s.must(err)
			ev, err := m.Event(s.ctx()) // a claim is fetched and its hash checked
			s.must(err)
			if mixture := ev.GetMixture(); mixture != nil {
				key, err := s.Blobs.Key(mixture.GetManifestUri())
				s.must(err)
				_, err = s.Blobs.Stat(s.ctx(), key)
				s.must(err)
				if m.Get(bus.HeaderContent) != bus.ContentHash(ev) {
					s.t.Error("the content header is not that of the content")
				}
			}
		}
	}
}

// A run that is there with other content is left alone, whatever differs.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	from := newSite(t)
	from.begin(run, 2)
	from.state(run, true, 0)
	file := from.export(run)
	for name, change := range map[string]func(s *site){
		"another spec": func(s *site) {
			spec := s.spec(run)
			spec.Seed = 99
			s.record(runstate.Bucket, runstate.SpecKey(run), spec)
			s.record(runstate.Bucket, runstate.Key(run), runstate.State{Run: run})
		},
		"another spec, not yet begun": func(s *site) {
			spec := s.spec(run)
			spec.Seed = 99
			s.record(runstate.Bucket, runstate.SpecKey(run), spec)
		},
		"another trajectory": func(s *site) {
			s.record(runstate.Bucket, runstate.SpecKey(run), s.spec(run))
			id := identity(run, pb.Purpose_PURPOSE_GROW, 0)
			s.publish(bus.TrajectorySubject(id), "", &pb.Event{Body: &pb.Event_Trajectory{Trajectory: &pb.Trajectory{Identity: id}}})
		},
		"leftovers": func(s *site) {
			s.publish(bus.RunSubject(run, "entered"), "x", &pb.Event{Body: &pb.Event_RunLog{RunLog: &pb.RunLog{}}})
		},
		"fewer messages": func(s *site) {
			if _, err := s.load(file); err != nil {
				t.Fatal(err)
			}
			s.must(s.Bus.Purge(s.ctx(), bus.Feedback, bus.RunFilter(bus.Feedback, run)))
		},
		"half pruned": func(s *site) {
			s.record(runstate.Bucket, runstate.Key(run), runstate.State{Run: run, Pruning: true})
		},
		"another manifest": func(s *site) { s.putAt("mixtures/"+run+"/1/manifest.json", "{}") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			change(s)
			if _, err := s.load(file); !errors.Is(err, archive.ErrOther) {
				t.Errorf("got %v, want %v", err, archive.ErrOther)
			}
		})
	}
	t.Run("the name of a pruned run", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.record(runstate.Bucket, runstate.PrunedKey(run), runstate.Pruned{Run: run, Spec: "another"})
		if _, err := s.load(file); !errors.Is(err, runstate.ErrNameUsed) {
			t.Errorf("got %v, want %v", err, runstate.ErrNameUsed)
		}
	})
}
