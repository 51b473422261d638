package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// bridgeDirectory, when set, makes the test binary a bridge that trains one job in that directory: see
// TestJobIsAdopted, which kills it.
const bridgeDirectory = "RATCHET_TEST_BRIDGE_DIRECTORY"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveWord {
		serveModel(os.Args[2:])
	}
	if directory := os.Getenv(deployDirectory); directory != "" {
		deployFor(directory)
	}
	if directory := os.Getenv(bridgeDirectory); directory != "" {
		j := shellJob(gatedTrainer, directory)
		_, _ = newCommand(directory, slog.New(slog.DiscardHandler)).Train(context.Background(), j, func(progress) {})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// shellJob is a job whose trainer is a shell script with {out} as $1 and extra arguments after it.
func shellJob(script string, extra ...string) job {
	command := append([]string{"/bin/sh", "-c", script, "trainer", "{out}"}, extra...)
	target := config.Target{Name: "own", Base: "base", Driver: "command", Command: command, Timeout: config.Duration(time.Minute)}
	return job{name: "own-0123456789abcdef", target: target, seed: 7, generation: 1, manifest: "manifest.json"}
}

// gatedTrainer notes that it was started, says so on the pipe $2/started, and finishes once the pipe $2/go was
// written to.
const gatedTrainer = `echo start >>"$2/starts"; echo '{"done":1,"total":2}'; : >"$2/started"; read -r x <"$2/go"
echo '{"done":2,"total":2,"loss":0.5}'; echo weights >"$1/model"`

func testCommand(t *testing.T) command {
	t.Helper()
	c := newCommand(t.TempDir(), devstack.TestLog(t))
	c.grace = 2 * time.Second
	return c
}

func TestCommandTrains(t *testing.T) {
	t.Parallel()
	j := shellJob(`echo garbage; echo '{"done":3,"total":4,"loss":0.25}'; echo '{broken'; printf '\377\000\n'
echo "$2 $3 $4 $5 $6" >"$1/model"`, "{base}", "{manifest}", "{target}", "{seed}", "{generation}")
	var reports []progress
	out, err := testCommand(t).Train(t.Context(), j, func(p progress) { reports = append(reports, p) })
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(filepath.Join(out, "model"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(model), "base manifest.json own 7 1\n"; got != want {
		t.Errorf("the trainer was given %q, want %q", got, want)
	}
	if want := (progress{Done: 3, Total: 4, Loss: 0.25}); len(reports) != 1 || reports[0] != want {
		t.Errorf("progress %v, want only %v: what is not progress is ignored", reports, want)
	}
}

func TestFinishedJobIsNotRunAgain(t *testing.T) {
	t.Parallel()
	c, starts := testCommand(t), filepath.Join(t.TempDir(), "starts")
	j := shellJob(`echo start >>"$2"; echo weights >"$1/model"`, starts)
	for range 3 {
		if _, err := c.Train(t.Context(), j, func(progress) {}); err != nil {
			t.Fatal(err)
		}
	}
	if n := countLines(t, starts); n != 1 {
		t.Errorf("the job was started %d times, want once", n)
	}
}

// TestOneJobForTwoBridges: of two that want the same job at the same time one starts it, both get its result.
func TestOneJobForTwoBridges(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	c := newCommand(gate.directory, devstack.TestLog(t))
	var bridges errgroup.Group
	for range 2 {
		bridges.Go(func() error {
			_, err := c.Train(t.Context(), shellJob(gatedTrainer, gate.directory), func(progress) {})
			return err
		})
	}
	gate.awaitStart()
	gate.open()
	if err := bridges.Wait(); err != nil {
		t.Error(err)
	}
	if n := countLines(t, filepath.Join(gate.directory, "starts")); n != 1 {
		t.Errorf("the job was started %d times, want once", n)
	}
}

func TestCommandFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, script string
		command      []string
		want         []string
		permanent    bool
	}{
		{name: "exit code and stderr", script: `echo lost the weights >&2; exit 3`, want: []string{"code 3", "lost the weights"}},
		{name: "bad mixture", script: `echo no such column >&2; exit 65`, want: []string{"code 65", "no such column", "no use"}, permanent: true},
		{name: "no memory now", script: `exit 75`, want: []string{"code 75"}},
		{name: "no stderr", script: `exit 1`, want: []string{"code 1", "nothing to stderr"}},
		{name: "killed", script: `kill -9 $PPID $$`, want: []string{"killed before it finished"}},
		{name: "not found", command: []string{"/no/such/trainer"}, want: []string{"cannot be run", "/no/such/trainer"}, permanent: true},
		{name: "no command", command: []string{}, want: []string{"set targets.command"}, permanent: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			j := shellJob(test.script)
			if test.command != nil {
				j.target.Command = test.command
			}
			_, err := testCommand(t).Train(t.Context(), j, func(progress) {})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if bus.IsPermanent(err) != test.permanent {
				t.Errorf("permanent is %v, want %v", !test.permanent, test.permanent)
			}
		})
	}
}

// TestLeftoverIsKilled: a trainer that has finished but left something running is finished.
func TestLeftoverIsKilled(t *testing.T) {
	t.Parallel()
	c := testCommand(t)
	j := shellJob(`while :; do sleep 60; done & echo weights >"$1/model"`)
	if _, err := c.Train(t.Context(), j, func(progress) {}); err != nil {
		t.Fatal(err)
	}
	if !folder(filepath.Join(c.directory, j.name)).releasedWithin(5 * time.Second) {
		t.Error("what the trainer left running lives on")
	}
}

// TestFailedJobResumes: the second attempt finds what the first left in {out}.
func TestFailedJobResumes(t *testing.T) {
	t.Parallel()
	c := testCommand(t)
	j := shellJob(`if [ -e "$1/half" ]; then echo weights >"$1/model"; else echo half >"$1/half"; exit 1; fi`)
	if _, err := c.Train(t.Context(), j, func(progress) {}); err == nil {
		t.Fatal("the first attempt did not fail")
	}
	if _, err := c.Train(t.Context(), j, func(progress) {}); err != nil {
		t.Fatalf("the second attempt: %v", err)
	}
}

func TestStoppedJobLeavesNoProcess(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{
		"at SIGTERM": `: >"$2/started"; read -r x <"$2/go"`,
		"at SIGKILL": `trap '' TERM; (trap '' TERM; : >"$2/started"; while :; do sleep 60; done) & wait; wait`,
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, gate := testCommand(t), newGate(t)
			c.grace = 300 * time.Millisecond
			j := shellJob(script, gate.directory)
			ctx, cancel := context.WithCancelCause(t.Context())
			stopped := errors.New("bridge stops")
			go func() { gate.awaitStart(); cancel(stopped) }()
			if _, err := c.Train(ctx, j, func(progress) {}); !errors.Is(err, stopped) {
				t.Errorf("error %v, want the cause of the stop", err)
			}
			f := folder(filepath.Join(c.directory, j.name))
			p, err := f.process()
			if err != nil {
				t.Fatal(err)
			}
			if lock, err := f.lock(); err != nil {
				t.Errorf("a process of the job lives: %v", err)
			} else {
				lock.Close()
			}
			if err := syscall.Kill(-p.PID, 0); err == nil && !isZombieGroup(p.PID) {
				t.Errorf("process group %d is still there", p.PID)
			}
		})
	}
}

// isZombieGroup tells a group of which only the dead leader is left, not yet reaped.
func isZombieGroup(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(data), ") Z ")
}

func TestJobTimesOut(t *testing.T) {
	t.Parallel()
	c, gate := testCommand(t), newGate(t)
	j := shellJob(`echo stuck >&2; read -r x <"$2/go"`, gate.directory)
	j.target.Timeout = config.Duration(200 * time.Millisecond)
	_, err := c.Train(t.Context(), j, func(progress) {})
	if !errors.Is(err, errTimeout) || !bus.IsPermanent(err) || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("error %v, want a permanent timeout with the end of stderr", err)
	}
}

// TestJobIsAdopted kills a bridge in the middle of a job with SIGKILL. The next one must find the job running, wait
// for it and take its result, with one start in all.
func TestJobIsAdopted(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	first := exec.Command(os.Args[0])
	first.Env = append(os.Environ(), bridgeDirectory+"="+gate.directory)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	gate.awaitStart()
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()

	second := newCommand(gate.directory, devstack.TestLog(t))
	seen, reports := make(chan struct{}), []progress{}
	go func() { <-seen; gate.open() }()
	out, err := second.Train(t.Context(), shellJob(gatedTrainer, gate.directory), func(p progress) {
		if reports = append(reports, p); len(reports) == 1 {
			close(seen) // it was found running
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, "model")); err != nil {
		t.Error(err)
	}
	if n := countLines(t, filepath.Join(gate.directory, "starts")); n != 1 {
		t.Errorf("the job was started %d times, want once", n)
	}
	if len(reports) != 2 || reports[1].Loss != 0.5 {
		t.Errorf("progress %v, want what was reported before and after the crash", reports)
	}
}

// TestFaultsOfStartingAJob: a job that could not be started, or whose bridge went before it let the job go, has run
// nothing and holds no lock; the next attempt starts it, once.
func TestFaultsOfStartingAJob(t *testing.T) {
	t.Parallel()
	for name, obstacle := range map[string]string{
		"refused":          "stdout.log",       // cannot be made: no process is started
		"not written down": "process.json.tmp", // cannot be made: the process is there and is not let go, as if its bridge had died
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, starts := testCommand(t), filepath.Join(t.TempDir(), "starts")
			j := shellJob(`echo start >>"$2"; echo weights >"$1/model"`, starts)
			f := folder(filepath.Join(c.directory, j.name))
			if err := os.MkdirAll(f.path(obstacle), 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Train(t.Context(), j, func(progress) {}); err == nil || bus.IsPermanent(err) {
				t.Errorf("error %v, want one to try again", err)
			}
			if !f.releasedWithin(5 * time.Second) {
				t.Error("a process of the job lives on")
			}
			if _, err := os.Stat(starts); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v: the trainer was started", err)
			}
			if err := os.Remove(f.path(obstacle)); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time its answer was lost
				if _, err := c.Train(t.Context(), j, func(progress) {}); err != nil {
					t.Error(err)
				}
			}
			if n := countLines(t, starts); n != 1 {
				t.Errorf("the job was started %d times, want once", n)
			}
		})
	}
}

// TestAdoptedJobIsStopped: a bridge stops a job that it did not start.
func TestAdoptedJobIsStopped(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	c := newCommand(gate.directory, devstack.TestLog(t))
	j := shellJob(gatedTrainer, gate.directory)
	f := folder(filepath.Join(c.directory, j.name))
	if err := os.MkdirAll(f.out(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.ensureStarted(f, j); err != nil {
		t.Fatal(err)
	}
	gate.awaitStart()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Train(ctx, j, func(progress) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the cancellation", err)
	}
	if n := countLines(t, filepath.Join(gate.directory, "starts")); n != 1 {
		t.Errorf("the job was started %d times, want once", n)
	}
}

// TestForeignProcessIsSpared: a number that is used again is not the job's.
func TestForeignProcessIsSpared(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	mine := process{PID: os.Getpid(), Host: host, Born: born(os.Getpid())}
	if !mine.ours() {
		t.Error("a living process is not recognised")
	}
	reused, elsewhere := mine, mine
	reused.Born, elsewhere.Host = "1", host+"-other"
	if mine.Born != "" && reused.ours() {
		t.Error("a process of another start time would be signalled")
	}
	if elsewhere.ours() {
		t.Error("a process of another host would be signalled")
	}
}

// gate is a folder with the pipes of gatedTrainer. Opening a pipe waits for the other side.
type gate struct {
	t         *testing.T
	directory string
}

func newGate(t *testing.T) gate {
	t.Helper()
	g := gate{t, t.TempDir()}
	for _, pipe := range []string{"started", "go"} {
		if err := syscall.Mkfifo(filepath.Join(g.directory, pipe), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func (g gate) awaitStart() {
	if _, err := os.ReadFile(filepath.Join(g.directory, "started")); err != nil {
		g.t.Error(err)
	}
}

func (g gate) open() {
	if err := os.WriteFile(filepath.Join(g.directory, "go"), []byte("go\n"), 0o600); err != nil {
		g.t.Error(err)
	}
}

func countLines(t *testing.T, file string) int {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}
