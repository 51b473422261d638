package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/worker"
)

const (
	// lookEvery is how often a running job is looked at.
	lookEvery = 100 * time.Millisecond
	// stopGrace is how long a job has to save its state and end.
	stopGrace = 10 * time.Second
)

// errTimeout is the cause of a job that ran past its target's timeout.
var errTimeout = errors.New("the job ran past its timeout")

// command is the driver that runs a program. Each job has a folder of its own:
//
//	lock          locked (flock) as long as any process of the job lives: they inherit it, nobody else holds it
//	process.json  the process group and when it was started, by which a later bridge stops it
//	stdout.log    JSON lines of progress; a file, so that the job outlives the bridge
//	stderr.log    its tail is in the error of a failed job
//	result        the exit code, once it has finished
//	out/          the model
//
// Whether the bridge started the job or found it, it does the same: look at the lock until it is free, then read
// the result. A job is not tied to the life of its bridge by Pdeathsig, which the kernel sends at the end of the
// thread that forked, and Go ends threads as it likes; it would also lose hours of training to each restart.
type command struct {
	directory string        // holds a folder for each job
	grace     time.Duration // between SIGTERM and SIGKILL
	log       *slog.Logger
}

func newCommand(directory string, log *slog.Logger) command {
	return command{directory: filepath.Join(directory, "jobs"), grace: stopGrace, log: log}
}

// Train runs the job's program, or finds it running or finished.
func (c command) Train(ctx context.Context, j job, report func(progress)) (string, error) {
	if len(j.target.Command) == 0 {
		return "", worker.Permanent(fmt.Errorf("target %s has no command: set targets.command", j.target.Name))
	}
	f := folder(filepath.Join(c.directory, j.name))
	if err := os.MkdirAll(f.out(), 0o755); err != nil {
		return "", fmt.Errorf("make job folder: %w", err)
	}
	if err := c.ensureStarted(f, j); err != nil {
		return "", fmt.Errorf("start job %s: %w", j.name, err)
	}
	if err := c.await(ctx, f, j, report); err != nil {
		return "", fmt.Errorf("job %s: %w", j.name, err)
	}
	return f.out(), outcome(f, j)
}

// ensureStarted starts the job unless it runs already or has finished well.
func (c command) ensureStarted(f folder, j job) error {
	lock, err := f.lock()
	if errors.Is(err, errLocked) {
		c.log.Info("found the job running", "job", j.name)
		return nil
	}
	if err != nil {
		return err
	}
	// The child inherits the lock; closing this copy leaves it the only holder.
	defer lock.Close()
	if code, err := f.result(); err == nil && code == 0 {
		c.log.Info("found the job finished", "job", j.name)
		return nil
	}
	if err := f.forget("result", "process.json"); err != nil {
		return err
	}
	argv := j.argv(f.out())
	c.log.Info("starting the job", "job", j.name, "argv", strings.Join(argv, " "), "folder", string(f))
	return f.start(argv, lock)
}

// await returns once no process of the job lives, passing its progress on.
func (c command) await(ctx context.Context, f folder, j job, report func(progress)) error {
	ctx, cancel := c.withTimeout(ctx, f, j)
	defer cancel()
	lines := &lineReader{path: f.path("stdout.log")}
	defer lines.close()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		over, err := f.over()
		// Asked before reading, so that the last lines are there when it is over.
		lines.each(func(line []byte) { passOn(line, report) })
		if over || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return c.stop(f, j, context.Cause(ctx))
		}
	}
}

// withTimeout bounds the job from its start, whoever started it.
func (c command) withTimeout(ctx context.Context, f folder, j job) (context.Context, context.CancelFunc) {
	if j.timeout() <= 0 {
		return context.WithCancel(ctx)
	}
	started := time.Now()
	if p, err := f.process(); err == nil {
		started = p.Started
	}
	return context.WithDeadlineCause(ctx, started.Add(j.timeout()), errTimeout)
}

func passOn(line []byte, report func(progress)) {
	var p progress
	if bytes.HasPrefix(line, []byte("{")) && json.Unmarshal(line, &p) == nil {
		report(p)
	}
}

// stop ends the job's processes, SIGTERM first, and returns cause.
func (c command) stop(f folder, j job, cause error) error {
	c.log.Info("stopping the job", "job", j.name, "cause", cause)
	if err := f.stop(c.grace); err != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	if errors.Is(cause, errTimeout) {
		return worker.Permanent(fmt.Errorf("%w of %v; %s", cause, j.timeout(), f.stderrTail()))
	}
	return cause
}

// hopeless are the exit codes of sysexits(3) by which a trainer says that no repetition could mend what is wrong: EX_USAGE,
// EX_DATAERR, EX_NOINPUT and EX_CONFIG.
var hopeless = map[int]bool{64: true, 65: true, 66: true, 78: true}

// outcome says whether the finished job left a model.
func outcome(f folder, j job) error {
	code, err := f.result()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("job %s was killed before it finished; %s", j.name, f.stderrTail())
	case err != nil:
		return fmt.Errorf("job %s: %w", j.name, err)
	case code == 126 || code == 127: // as sh reports it
		return worker.Permanent(fmt.Errorf("job %s: the command %q cannot be run; %s", j.name, j.target.Command[0], f.stderrTail()))
	case hopeless[code]:
		return worker.Permanent(fmt.Errorf("job %s: the command exited with code %d, which says that trying again is no use; %s", j.name, code, f.stderrTail()))
	case code != 0:
		return fmt.Errorf("job %s: the command exited with code %d; %s", j.name, code, f.stderrTail())
	}
	return nil
}
