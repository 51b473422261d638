package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The bus's disk fills up in the middle of a run: `ratchet up` stops and says so. When there is space again, it goes
// on from where it was, and ends as it does undisturbed.
func TestDiskFull(t *testing.T) {
	long(t)
	want, plain := reference(t)
	calls, _, _ := plain.calls()

	s := newSite(t)
	disk := newDisk(t, filepath.Join(s.dir, "bus"))
	up := disk.start(t, s.config, "ratchet", "up")
	s.submit(t)
	conn := s.connect(t)
	for i, share := range []int{20, 70} { // percent of the calls
		eventually(t, "the moment to fill the disk", time.Minute, func() bool {
			done, _, _ := s.course.calls()
			return done >= calls*share/100
		})
		disk.fill(t)
		select {
		case <-up.over:
		case <-time.After(30 * time.Second):
			t.Fatalf("`ratchet up` goes on with a full disk")
		}
		if code := up.ProcessState.ExitCode(); code != 1 {
			t.Errorf("`ratchet up` exits with %d on a full disk, want 1", code)
		}
		if said := up.said.String(); !strings.Contains(said, "no space left") || !strings.Contains(said, "Free space") {
			t.Errorf("`ratchet up` does not say why it stops:\n%s", said)
		}
		disk.free(t)
		up = disk.start(t, s.config, "ratchet", "up")
		t.Logf("filled %d: %v", i+1, s.course)
	}
	s.finish(t, conn)
	same(t, want, s.outcome(t, conn))
	s.course.checkJobs(t)
	s.course.checkReturns(t)
}

// disk is a small file system, mounted in a namespace of its own: what runs in there sees it, nobody else does.
type disk struct {
	holder *exec.Cmd // keeps the namespace
	// filler takes all that is free; the path leads into the namespace.
	filler string
}

const diskSize = 64 << 20

func newDisk(t *testing.T, dir string) disk {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
		fmt.Sprintf("mount -t tmpfs -o size=%d tmpfs %q && echo mounted && exec sleep 3600", diskSize, dir))
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := fork(holder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Skipf("this kernel lets nobody make a mount namespace (%v, %q); a full disk cannot be made without one", err, line)
	}
	return disk{holder, filepath.Join("/proc", strconv.Itoa(holder.Process.Pid), "root", dir, "filler")}
}

// start starts a program of ours that sees the disk.
func (d disk) start(t *testing.T, config, name string, args ...string) *process {
	t.Helper()
	enter := []string{"--target", strconv.Itoa(d.holder.Process.Pid), "--user", "--mount", "--preserve-credentials", "--"}
	return startProgram(t, []string{"RATCHET_CONFIG=" + config}, "nsenter", append(append(enter, filepath.Join(programs, name)), args...)...)
}

// fill leaves no space, however often something is removed meanwhile.
func (d disk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(d.filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v, want %v", err, syscall.ENOSPC)
	}
}

func (d disk) free(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.filler); err != nil {
		t.Fatal(err)
	}
}
