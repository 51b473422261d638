package bridge

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func TestProgramServes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if _, err := s.program.Ensure(t.Context(), s.order); !isNotYet(err) {
		t.Errorf("error %v of a server that loads, want a notYet", err)
	}
	s.loaded()
	first := s.ensure()
	if want := "own-" + s.order.checkpoint.GetId(); first.model != want {
		t.Errorf("model %q, want %q", first.model, want)
	}
	response, err := http.Get(root(first.endpoint) + "/content")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != "1" {
		t.Errorf("it serves %q, want the checkpoint's content", body)
	}
	if again := s.ensure(); again != first || len(s.pids()) != 1 {
		t.Errorf("%v after %d starts, want %v after one", again, len(s.pids()), first)
	}
}

// TestServerIsAdopted kills a bridge with SIGKILL while its server loads, and once it is ready. The next bridge must go
// on with that server.
func TestServerIsAdopted(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"starting", "ready"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c, err := json.Marshal(s.order.checkpoint)
			if err != nil {
				t.Fatal(err)
			}
			s.write("checkpoint", string(c))
			if when == "ready" {
				s.loaded()
			}
			s.killBridgeAt(when)
			if !s.lives() {
				t.Fatal("the server went with its bridge")
			}
			s.loaded()
			s.ensure()
			if n := len(s.pids()); n != 1 {
				t.Errorf("the server was started %d times, want once", n)
			}
		})
	}
}

// killBridgeAt runs a bridge until it says so.
func (s *site) killBridgeAt(word string) {
	s.Helper()
	first := exec.Command(os.Args[0])
	first.Env = append(os.Environ(), deployDirectory+"="+s.directory)
	out, err := first.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	hold, err := first.StdinPipe()
	if err != nil {
		s.Fatal(err)
	}
	defer hold.Close()
	if err := first.Start(); err != nil {
		s.Fatal(err)
	}
	var said string
	for said != word {
		if _, err := fmt.Fscanln(out, &said); err != nil {
			s.Fatal(err)
		}
	}
	if err := first.Process.Kill(); err != nil {
		s.Fatal(err)
	}
	_ = first.Wait()
}

// TestServerIsStartedAgain: one that was killed comes back where it was.
func TestServerIsStartedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.loaded()
	before := s.ensure()
	if err := syscall.Kill(s.pids()[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.awaitEnd()
	if after := s.ensure(); after != before || len(s.pids()) != 2 {
		t.Errorf("%v after %d starts, want %v after two", after, len(s.pids()), before)
	}
}

func (s *site) awaitEnd() {
	s.Helper()
	if !s.program.folder(s.program.Name(s.order)).releasedWithin(10 * time.Second) {
		s.Fatal("the server does not end")
	}
}

func TestServerFails(t *testing.T) {
	t.Parallel()
	shell := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	tests := []struct {
		name      string
		command   []string
		timeout   time.Duration
		want      []string
		permanent bool
	}{
		{name: "exits", command: shell("echo out of memory >&2; exit 3"), want: []string{"code 3", "out of memory", "before it answered"}},
		{name: "killed", command: shell("kill -9 $PPID $$"), want: []string{"it was killed"}},
		{name: "not found", command: []string{"/no/such/server"}, want: []string{"cannot be run", "/no/such/server"}, permanent: true},
		{name: "no command", want: []string{"set deploy.command"}, permanent: true},
		{
			name: "never ready", command: shell("echo stuck >&2; read -r x </dev/null; while :; do sleep 60; done"), timeout: 300 * time.Millisecond,
			want: []string{"not ready within deploy.timeout (300ms)", "connection refused", "stuck"}, permanent: true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.order.deploy.Command, s.order.deploy.Timeout = test.command, config.Duration(test.timeout)
			err := s.fails()
			if err == nil || bus.IsPermanent(err) != test.permanent {
				t.Fatalf("error %v, want one that is permanent: %v", err, test.permanent)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if s.lives() {
				t.Error("a process of the server lives on")
			}
		})
	}
}

// TestFailedServerIsTriedAgain: what has failed is started anew the next time.
func TestFailedServerIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	serve := s.order.deploy.Command
	s.order.deploy.Command = append([]string{"/bin/sh", "-c", `[ -e "$0/second" ] || { : >"$0/second"; exit 1; }; exec "$@"`, s.directory}, serve...)
	if err := s.fails(); err == nil || !strings.Contains(err.Error(), "code 1") {
		t.Fatalf("error %v, want the first attempt's", err)
	}
	s.loaded()
	s.ensure()
}

// TestSilentServerIsStartedAgain: one that was ready and answers no more is stopped after deploy.timeout.
func TestSilentServerIsStartedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.loaded()
	before := s.ensure()
	s.order.deploy.Timeout = config.Duration(300 * time.Millisecond)
	if err := os.Remove(filepath.Join(s.directory, "ready")); err != nil {
		t.Fatal(err)
	}
	if err := s.fails(); err == nil || !strings.Contains(err.Error(), "not ready within") || s.lives() {
		t.Errorf("error %v, want the server stopped", err)
	}
	s.loaded()
	s.order.deploy.Timeout = 0
	if after := s.ensure(); after != before {
		t.Errorf("%v, want %v as before", after, before)
	}
}

// TestFaultsOfStartingAServer: a bridge that died or failed anywhere before the server was let go has started nothing;
// the next attempt does, once.
func TestFaultsOfStartingAServer(t *testing.T) {
	t.Parallel()
	for name, obstacle := range map[string]string{
		"no port":          "port.tmp",
		"refused":          "stdout.log",
		"not written down": "process.json.tmp", // the process is there and is not let go, as if its bridge had died
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.loaded()
			f := s.program.folder(s.program.Name(s.order))
			if err := os.MkdirAll(f.path(obstacle), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := s.fails(); err == nil || bus.IsPermanent(err) {
				t.Errorf("error %v, want one to try again", err)
			}
			s.awaitEnd()
			if n := len(s.pids()); n != 0 {
				t.Errorf("the server was started %d times", n)
			}
			if err := os.Remove(f.path(obstacle)); err != nil {
				t.Fatal(err)
			}
			s.ensure()
			if n := len(s.pids()); n != 1 {
				t.Errorf("the server was started %d times, want once", n)
			}
		})
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	d := testProgram(t, shelf{directory: t.TempDir()})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := taken.Addr().(*net.TCPAddr).Port
	d.ports = portRange{busy, busy}
	for _, name := range []string{"a", "b"} {
		if err := os.MkdirAll(string(d.folder(name)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.port(t.Context(), d.folder("a")); err == nil || !strings.Contains(err.Error(), "bridge.ports") {
		t.Errorf("error %v, want the range named: its only port is taken", err)
	}
	taken.Close()
	for range 2 { // picked, then kept
		if port, err := d.port(t.Context(), d.folder("a")); err != nil || port != busy {
			t.Errorf("port %d (%v), want %d", port, err, busy)
		}
	}
	if _, err := d.port(t.Context(), d.folder("b")); err == nil {
		t.Error("two servers have one port")
	}
}

// TestReconcileRetires: only the incumbent and the generation that is tried have servers, and a finished run none.
func TestReconcileRetires(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := &site{TB: t, directory: t.TempDir()}
	s.loaded()
	b.run.Deploy = serverOrder(s.directory, nil).deploy
	serving := b.serving()
	s.program = serving.deployers[config.DeployerCommand].(*program)
	names := make([]string, 4)
	for generation := 1; generation <= 3; generation++ {
		c := b.putCheckpoint(generation)
		b.publish(bus.TrainingSubject(b.run.Name, generation, "own", "checkpoint"), generation, &pb.Event{Body: &pb.Event_Checkpoint{Checkpoint: c}})
		s.order = order{deploy: b.run.Deploy, generation: generation, checkpoint: c}
		names[generation] = s.program.Name(s.order)
		if generation == 3 { // trained, and on its way: its server loads, nothing is published
			if _, err := s.program.Ensure(t.Context(), s.order); !isNotYet(err) {
				t.Fatal(err)
			}
			continue
		}
		s.ensure()
		if err := serving.handle(t.Context(), b.task(generation, deployTask(c))); err != nil {
			t.Fatal(err)
		}
	}
	r := &reconciler{bus: b.bus, spec: b.spec, serving: serving, every: time.Minute, log: devstack.TestLog(t)}
	for _, step := range []struct {
		state runstate.State
		want  []string
	}{
		{runstate.State{Generation: 3, Incumbent: 1}, []string{names[1], names[3]}},
		{runstate.State{Generation: 4, Incumbent: 3}, []string{names[3]}},
		{runstate.State{Generation: 4, Incumbent: 3, Finished: true}, nil},
	} {
		b.saveState(step.state)
		if err := r.reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := s.program.Servers(t.Context())
		slices.Sort(step.want)
		if err != nil || !slices.Equal(got, step.want) {
			t.Errorf("state %+v: servers %v (%v), want %v", step.state, got, err, step.want)
		}
	}
}
