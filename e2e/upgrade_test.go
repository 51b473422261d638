package e2e

import (
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
)

// Stores of older versions: each an installation whose `ratchet up` was killed in the middle of grow. `make
// keep-store` adds one at a release.
const stores = "testdata/stores"

// Where a kept installation was and will be again: URIs of blobs, the command of the trainer and the endpoint of the
// policy are part of what it holds. The models' address is this test's lock against another one on this machine.
const (
	oldDir    = "/tmp/ratchet-upgrade"
	oldModels = "127.77.31.9:17421"
	oldBus    = "127.77.31.9:17422"
)

var keepStore = flag.String("keep.store", "", "file of testdata/stores to write a store of the tested version to")

// TestKeepStore writes a store when it is told to; see keepStore.
func TestKeepStore(t *testing.T) {
	long(t)
	if *keepStore == "" {
		t.Skip("writes a store of this version for later ones, with -keep.store: run `make keep-store`")
	}
	s := newOldSite(t).write(t)
	up := start(t, s.config, "ratchet", "up")
	s.submit(t)
	conn := s.connect(t)
	eventually(t, "the middle of grow", time.Minute, func() bool { return s.grown(t, conn) >= pool/3 })
	up.kill()
	conn.Close()
	different, _, _ := s.course.calls()
	write(t, filepath.Join(s.dir, callsFile), strconv.Itoa(different))
	size, err := pack(s.dir, *keepStore)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d bytes, after %v", *keepStore, size, s.course)
}

// callsFile says how many calls were answered before a store was kept.
const callsFile = "calls"

// grown is how many trajectories are completed, while the run grows.
func (s site) grown(t *testing.T, conn *bus.Conn) (done int64) {
	now := state(t.Context(), conn)
	for _, p := range now.Progress {
		if p.Phase == "grow" && now.Phase == "grow" {
			done += p.Completed
		}
	}
	return done
}

// A run that an older version began, and was killed in, goes on under this one as if nothing had been.
func TestUpgrade(t *testing.T) {
	long(t)
	archives, err := filepath.Glob(filepath.Join(stores, "*.tar.gz"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("no stores of older versions in %s: %v", stores, err)
	}
	old := newOldSite(t)
	whole := site{dir: t.TempDir(), bus: old.bus, models: old.models, trainer: old.trainer}.write(t)
	want := whole.undisturbed(t)
	calls, _, _ := whole.course.calls()
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), func(t *testing.T) {
			upgrade(t, old, archive, want, calls)
		})
	}
}

func upgrade(t *testing.T, s site, archive string, want outcome, calls int) {
	s.clear(t)
	if err := unpack(archive, s.dir); err != nil {
		t.Fatal(err)
	}
	s = s.at(t)
	before := s.answeredBefore(t)
	up := start(t, s.config, "ratchet", "up")
	eventually(t, "the keys that this version makes", time.Minute, func() bool {
		return fileExists(filepath.Join(s.dir, "users", bus.UsersFile))
	})
	conn := s.connect(t)
	if now := state(t.Context(), conn); now.Finished || now.Phase != "grow" {
		t.Fatalf("the kept run is in %q: %+v; want it to be in grow", now.Phase, now)
	}
	s.finish(t, conn)
	t.Logf("%d calls under the older version, then %v", before, s.course)
	same(t, asTold(t, want), asTold(t, s.outcome(t, conn)))
	s.course.checkJobs(t)
	// The journal of a store older than 30 days is empty: the trajectories in flight begin anew.
	const longest = 20
	if after, _, _ := s.course.calls(); before+after > calls+rolloutSlots*longest {
		t.Errorf("%d calls before and %d after the upgrade, of %d: results were made again", before, after, calls)
	}
	if code := up.stop(syscall.SIGTERM, 20*time.Second); code != 0 {
		t.Errorf("ratchet up exits with %d when it is asked to stop, want 0", code)
	}
}

// asTold is an outcome without what trajectories of an older version do not tell: how many candidates were no action.
func asTold(t *testing.T, o outcome) outcome {
	t.Helper()
	var ledger any
	if err := json.Unmarshal([]byte(o.Ledger), &ledger); err != nil {
		t.Fatal(err)
	}
	var strip func(any)
	strip = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				strip(e)
			}
		case map[string]any:
			delete(v, "candidates")
			for _, e := range v {
				strip(e)
			}
		}
	}
	strip(ledger)
	text, err := json.MarshalIndent(ledger, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	o.Ledger = string(text)
	return o
}

func (s site) answeredBefore(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, callsFile))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// newOldSite is an empty site at the place of the kept ones.
func newOldSite(t *testing.T) site {
	t.Helper()
	s := site{dir: oldDir, bus: oldBus, models: newServer(listenAt(t, oldModels)), trainer: filepath.Join(oldDir, "trainer")}
	t.Cleanup(s.models.Close)
	t.Cleanup(func() { _ = os.RemoveAll(oldDir) })
	s.clear(t)
	return s
}

// clear makes the site's directory anew, with a trainer in it that is this program.
func (s site) clear(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, s.trainer); err != nil {
		t.Fatal(err)
	}
}

// listenAt waits until nobody else listens there: another run of this test, if anybody.
func listenAt(t *testing.T, address string) (l net.Listener) {
	t.Helper()
	eventually(t, address+" to be free", 3*time.Minute, func() bool {
		var err error
		l, err = new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		return err == nil
	})
	return l
}
