package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ratchet-rl/ratchet/internal/bus"
)

// A finished run, exported, pruned and imported again, and imported elsewhere, is told in the same words; the archive of
// what was imported is the archive.
func TestExportPruneImport(t *testing.T) {
	long(t)
	s, elsewhere := newSite(t), newSite(t)
	up := start(t, s.config, "ratchet", "up")
	s.submit(t)
	conn := s.connect(t)
	s.finish(t, conn)
	before, file := s.told(t, conn), filepath.Join(s.dir, "run.ratchet")
	s.mustRatchet(t, "export", runName, "-f", file)
	archive := read(t, file)

	s.mustRatchet(t, "prune", runName, "--yes")
	if out, err := ratchet(t, s.config, "report", runName); err == nil {
		t.Errorf("pruned, and reported:\n%s", out)
	}
	s.mustRatchet(t, "import", file)
	if diff := cmp.Diff(before, s.told(t, conn)); diff != "" {
		t.Errorf("pruned and imported again (-before +after):\n%s", diff)
	}
	s.sameArchive(t, archive)
	if code := up.stop(syscall.SIGTERM, 20*time.Second); code != 0 {
		t.Errorf("ratchet up exits with %d, want 0", code)
	}

	start(t, elsewhere.config, "ratchet", "up")
	eventually(t, "the other installation", time.Minute, func() bool {
		_, err := ratchet(t, elsewhere.config, "kind", "add", "any")
		return err == nil
	})
	elsewhere.mustRatchet(t, "import", file)
	after := elsewhere.told(t, elsewhere.connect(t))
	for command, text := range after { // the URIs of the blobs say where they are
		after[command] = strings.ReplaceAll(text, elsewhere.dir, s.dir)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("imported elsewhere (-here +there):\n%s", diff)
	}
	elsewhere.sameArchive(t, archive)
}

// told is what the commands say of the run.
func (s site) told(t *testing.T, conn *bus.Conn) map[string]string {
	t.Helper()
	question := ""
	for m, err := range conn.Read(t.Context(), bus.Trajectories, bus.GenerationFilter(bus.Trajectories, runName, 1)) {
		if err != nil {
			t.Fatal(err)
		}
		subject, err := bus.ParseSubject(m.Subject)
		if err != nil {
			t.Fatal(err)
		}
		question = max(question, subject.Identity.GetQuestion())
	}
	all := map[string]string{}
	for _, args := range [][]string{
		{"ledger", runName}, {"report", runName}, {"trajectory", runName, question}, {"lineage", runName + "/1"}, {"lineage", runName + "/1/student"},
	} {
		all[strings.Join(args, " ")] = s.mustRatchet(t, append(args, "-o", "json")...)
	}
	return all
}

func (s site) mustRatchet(t *testing.T, args ...string) string {
	t.Helper()
	out, err := ratchet(t, s.config, args...)
	if err != nil {
		t.Fatalf("ratchet %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// sameArchive exports once more.
func (s site) sameArchive(t *testing.T, want []byte) {
	t.Helper()
	again := filepath.Join(t.TempDir(), "again.ratchet")
	s.mustRatchet(t, "export", runName, "-f", again)
	if got := read(t, again); !bytes.Equal(got, want) {
		t.Errorf("the archive of what was imported differs: %d bytes, want %d", len(got), len(want))
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The disk is lost in the middle of a run, but for an archive made shortly before, while it went on: imported into an
// empty installation, the run ends as it does undisturbed, and no call is made again that the archive has.
func TestRestoreUnfinished(t *testing.T) {
	long(t)
	want, plain := reference(t)
	calls, _, _ := plain.calls()
	s := newSite(t)
	up := start(t, s.config, "ratchet", "up")
	s.submit(t)
	s.awaitAny(t, up, []moment{{calls: calls / 2}})
	before, _, _ := s.course.calls()
	file := filepath.Join(t.TempDir(), "run.ratchet")
	s.mustRatchet(t, "export", runName, "-f", file)
	up.kill()
	lost, _, _ := s.course.calls()
	for _, data := range []string{"bus", "blobs", "training"} {
		if err := os.RemoveAll(filepath.Join(s.dir, data)); err != nil {
			t.Fatal(err)
		}
	}
	start(t, s.config, "ratchet", "up")
	eventually(t, "the empty installation", time.Minute, func() bool {
		_, err := ratchet(t, s.config, "kind", "add", "any")
		return err == nil
	})
	s.mustRatchet(t, "import", file, "--yes")
	conn := s.connect(t)
	s.finish(t, conn)
	same(t, want, s.outcome(t, conn))
	total, policy, judge := s.course.calls()
	t.Logf("%d calls before the export, %d when the disk was lost; %v", before, lost, s.course)
	inFlight := rolloutSlots + rankSlots*20 + judgeSlots // their answers are in no stream when the export begins
	if total != calls || policy+judge > lost-before+inFlight {
		t.Errorf("%v; want %d, repeated at most the %d after the export and %d in flight", s.course, calls, lost-before, inFlight)
	}
}
