package bridge

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// shim runs a program so that its end is known even if nobody was there to see it: it waits for the go, which
// comes after the process has been written down, runs the command, and leaves the exit code in a file.
// A shim that is killed leaves none: the program did not finish.
const shim = `read -r go || exit 1
"$@" </dev/null
code=$?
echo "$code" >"$RATCHET_RESULT.tmp" && mv "$RATCHET_RESULT.tmp" "$RATCHET_RESULT"`

// start starts a program in a process group of its own, holding lock. It outlives the bridge.
func (f folder) start(argv []string, lock *os.File) error {
	stdout, err := os.Create(f.path("stdout.log"))
	if err != nil {
		return err
	}
	defer stdout.Close()
	stderr, err := os.Create(f.path("stderr.log"))
	if err != nil {
		return err
	}
	defer stderr.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", shim, "ratchet-job"}, argv...)...)
	cmd.Env = append(os.Environ(), "RATCHET_RESULT="+f.path("result"))
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return f.release(cmd)
}

// release starts the shim, writes its process down and lets it go.
func (f folder) release(cmd *exec.Cmd) error {
	shim, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait() //nolint:errcheck // reaps it; the outcome is read from the result file
	defer shim.Close()
	if err := f.writeProcess(cmd.Process.Pid); err != nil {
		return err // the shim sees the end of its input and runs nothing
	}
	_, err = fmt.Fprintln(shim, "go")
	return err
}

// stop ends all processes of the folder, SIGTERM first. Where none lives there is nothing to do.
func (f folder) stop(grace time.Duration) error {
	if f.releasedWithin(0) {
		return nil
	}
	f.signal(syscall.SIGTERM)
	if f.releasedWithin(grace) {
		return nil
	}
	f.signal(syscall.SIGKILL)
	if !f.releasedWithin(grace) {
		return fmt.Errorf("its processes outlive SIGKILL (see %s)", f.path("process.json"))
	}
	return nil
}
