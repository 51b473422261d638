package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/worker"
)

// program is the deployer that runs a program for each checkpoint. Each server has a folder like a job's (see
// command), with two files more:
//
//	port   where it listens, for as long as there is the folder: the policy's endpoint names it
//	ready  was touched whenever the server was seen to answer since it was started
//
// What is known of a server is in its folder alone, so that a bridge that comes after one that was killed goes on
// with the servers that it finds. One that has ended is started again; one that does not answer for deploy.timeout
// is stopped.
type program struct {
	directory string // holds a folder for each server
	host      string // by which the workers reach this machine
	ports     portRange
	shelf     shelf
	probe     probe
	grace     time.Duration // between SIGTERM and SIGKILL
	log       *slog.Logger

	picking sync.Mutex // held while a port is picked
}

func newProgram(c config.Bridge, directory string, s shelf, p probe, log *slog.Logger) (*program, error) {
	first, last, ok := c.PortRange()
	if !ok {
		return nil, fmt.Errorf("bridge.ports is %q; want a range such as 8000-8099", c.Ports)
	}
	return &program{
		directory: filepath.Join(directory, "servers"), host: c.Host, ports: portRange{first, last},
		shelf: s, probe: p, grace: stopGrace, log: log,
	}, nil
}

// Name derives from everything that could change the server.
func (d *program) Name(o order) string {
	identity, err := json.Marshal([]any{o.checkpoint.GetSha256(), o.checkpoint.GetTarget(), o.generation, o.deploy.Command, o.deploy.Model})
	if err != nil { // strings and a number: never
		panic(err)
	}
	sum := sha256.Sum256(identity)
	return o.checkpoint.GetTarget() + "-" + hex.EncodeToString(sum[:8])
}

func (d *program) folder(name string) folder { return folder(filepath.Join(d.directory, name)) }

// Ensure starts the checkpoint's server unless it runs.
func (d *program) Ensure(ctx context.Context, o order) (served, error) {
	if len(o.deploy.Command) == 0 {
		return served{}, worker.Permanent(errors.New("deployer command has no command: set deploy.command"))
	}
	f := d.folder(d.Name(o))
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		return served{}, fmt.Errorf("make server's folder: %w", err)
	}
	if err := d.ensureStarted(ctx, f, o); err != nil {
		return served{}, err
	}
	return d.look(ctx, f, o)
}

// ensureStarted starts the server if no process of it lives. That it ended before it ever answered is an error, once.
func (d *program) ensureStarted(ctx context.Context, f folder, o order) error {
	if over, err := f.over(); err != nil || !over {
		return err
	}
	lock, err := f.lock()
	if errors.Is(err, errLocked) {
		return nil // another bridge was faster, or what it has left is on its way out
	}
	if err != nil {
		return err
	}
	// The child inherits the lock; closing this copy leaves it the only holder.
	defer lock.Close()
	ended, err := f.ended()
	if err != nil {
		return err
	}
	_, neverReady := os.Stat(f.path("ready"))
	if err := f.forget("result", "process.json", "ready"); err != nil {
		return err
	}
	if ended != nil && neverReady != nil {
		return fmt.Errorf("the server of %s ended before it answered: %w", o.model(), ended)
	}
	if ended != nil {
		d.log.Warn("a server has ended; starting it again", "model", o.model(), "err", ended)
	}
	return d.start(ctx, f, o, lock)
}

// ended says how the program that was started last has ended; nil if none was.
func (f folder) ended() (reason, err error) {
	if _, err := f.process(); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	code, err := f.result()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("it was killed; %s", f.stderrTail()), nil
	case err != nil:
		return nil, err
	case code == 126 || code == 127: // as sh reports it
		return worker.Permanent(fmt.Errorf("the command cannot be run; %s", f.stderrTail())), nil
	}
	return fmt.Errorf("it exited with code %d; %s", code, f.stderrTail()), nil
}

func (d *program) start(ctx context.Context, f folder, o order, lock *os.File) error {
	path, err := d.shelf.fetch(ctx, o.checkpoint)
	if err != nil {
		return err
	}
	port, err := d.port(ctx, f)
	if err != nil {
		return err
	}
	argv := make([]string, len(o.deploy.Command))
	for i, arg := range o.deploy.Command {
		argv[i] = o.fill(arg, "{path}", path, "{model}", o.model(), "{host}", d.host, "{port}", strconv.Itoa(port))
	}
	d.log.Info("starting a server", "model", o.model(), "argv", strings.Join(argv, " "), "folder", string(f))
	return f.start(argv, lock)
}

// look asks the running server whether it is ready.
func (d *program) look(ctx context.Context, f folder, o order) (served, error) {
	port, err := f.number("port")
	if err != nil {
		return served{}, err
	}
	s := served{model: o.model(), endpoint: fmt.Sprintf("http://%s/v1", net.JoinHostPort(d.host, strconv.Itoa(port)))}
	err = d.probe.answers(ctx, o.deploy.Ready, s)
	if err == nil {
		return s, f.touch("ready")
	}
	silent, within := f.silent(), o.deploy.ReadyWithin()
	if !isNotYet(err) || ctx.Err() != nil || silent < within {
		return served{}, err
	}
	d.log.Warn("stopping a server that does not answer", "model", o.model(), "since", silent, "err", err)
	if err := d.stop(f); err != nil {
		return served{}, err
	}
	return served{}, worker.Permanent(fmt.Errorf("the server of %s was not ready within deploy.timeout (%s): %w; %s",
		o.model(), within, err, f.stderrTail()))
}

// silent is for how long the server has not been seen to answer, at most since it was started.
func (f folder) silent() time.Duration {
	p, err := f.process()
	if err != nil {
		return 0
	}
	since := p.Started
	if info, err := os.Stat(f.path("ready")); err == nil && info.ModTime().After(since) {
		since = info.ModTime()
	}
	return time.Since(since)
}

// stop ends a server in good order: it has not failed, and the next start needs no explanation.
func (d *program) stop(f folder) error {
	if err := f.stop(d.grace); err != nil {
		return err
	}
	return f.forget("result", "process.json")
}

// Servers lists the servers' folders.
func (d *program) Servers(context.Context) ([]string, error) {
	entries, err := os.ReadDir(d.directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list servers: %w", err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

// Abandon stops a server; its logs stay.
func (d *program) Abandon(_ context.Context, name string) error { return d.stop(d.folder(name)) }

// Retire stops a server and removes its folder.
func (d *program) Retire(_ context.Context, name string) error {
	f := d.folder(name)
	if err := d.stop(f); err != nil {
		return fmt.Errorf("stop server %s: %w", name, err)
	}
	lock, err := f.lock()
	if err != nil {
		return fmt.Errorf("stop server %s: %w", name, err)
	}
	defer lock.Close()
	d.log.Info("retired a server", "folder", string(f))
	return os.RemoveAll(string(f))
}

// StopAll stops every server, at the orderly end of the bridge. The next one starts them again where they were.
func (d *program) StopAll() error {
	names, err := d.Servers(context.Background())
	if err != nil {
		return err
	}
	var group errgroup.Group
	for _, name := range names {
		group.Go(func() error { return d.stop(d.folder(name)) })
	}
	return group.Wait()
}
