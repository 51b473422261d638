package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// process is a child that dies with the test.
type process struct {
	*exec.Cmd
	name string
	over chan struct{} // closed once it has ended
	said *tail
}

// start starts a program of ours; what it says is shown if the test fails.
func start(t testing.TB, config, name string, args ...string) *process {
	t.Helper()
	return startProgram(t, []string{"RATCHET_CONFIG=" + config}, filepath.Join(programs, name), args...)
}

func startProgram(t testing.TB, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(program, args...), name: filepath.Base(program), over: make(chan struct{}), said: &tail{}}
	p.Env = append(os.Environ(), env...)
	p.Stdout, p.Stderr = p.said, p.said
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := fork(p.Cmd); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		defer close(p.over)
		_ = p.Wait() // its exit code is asked for where it matters
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the last words of %s (pid %d):\n%s", p.name, p.Process.Pid, p.said)
		}
	})
	return p
}

// fork starts commands on a thread that never ends: the kernel sends Pdeathsig when the thread that forked ends.
var fork = func() func(*exec.Cmd) error {
	type order struct {
		cmd  *exec.Cmd
		done chan error
	}
	orders := make(chan order)
	go func() {
		runtime.LockOSThread()
		for o := range orders {
			o.done <- o.cmd.Start()
		}
	}()
	return func(cmd *exec.Cmd) error {
		done := make(chan error)
		orders <- order{cmd, done}
		return <-done
	}
}()

// kill is SIGKILL, and waits.
func (p *process) kill() {
	_ = p.Process.Kill() // it may have ended
	<-p.over
}

// stop sends a signal and returns the exit code; -1 if it did not end in time and had to be killed.
func (p *process) stop(signal os.Signal, patience time.Duration) int {
	_ = p.Process.Signal(signal)
	select {
	case <-p.over:
		return p.ProcessState.ExitCode()
	case <-time.After(patience):
		p.kill()
		return -1
	}
}

// ended says whether it has ended by itself.
func (p *process) ended() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// ratchet runs the command to its end and returns what it prints.
func ratchet(t *testing.T, config string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "ratchet"), args...)
	cmd.Env = append(os.Environ(), "RATCHET_CONFIG="+config)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		out = append(out, complaint.Bytes()...)
	}
	return out, err
}

// tail keeps what is written, and shows its end.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

const tailSize = 6 << 10

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	return len(p), nil
}

// whole is all that was written.
func (w *tail) whole() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.text)
}

func (w *tail) String() string {
	text := w.whole()
	return string(text[max(0, len(text)-tailSize):])
}

// ports is where the next free port is looked for: none is given twice, and none of those that the kernel gives to
// connections, else one of them might take it before whoever is to listen there does.
var ports = func() *atomic.Int32 {
	var first atomic.Int32
	first.Store(rand.Int32N(20_000))
	return &first
}()

// freeAddress is an address of this machine that nobody listens at.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := 10_000 + ports.Add(1)%20_000
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("none of a hundred ports is free")
	return ""
}
