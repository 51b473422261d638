package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/trainer-bridge/bridge/kube"
	"github.com/ratchet-rl/ratchet/worker"
)

// errNoCluster is the error of a run that needs a cluster.
var errNoCluster = worker.Permanent(errors.New("this bridge speaks to no cluster: set bridge.kubernetes.namespace"))

// cluster is kube.Cluster.
type cluster interface {
	Run(ctx context.Context, j kube.Job, heard func(line []byte), waits func(why string)) error
	Serve(ctx context.Context, s kube.Server) (address, trouble string, err error)
	Servers(ctx context.Context) ([]string, error)
	Retire(ctx context.Context, name string) error
}

// jobs is the driver that runs a command as a Job in a cluster. {manifest} and {out} are on the volume that the pod
// mounts where the bridge does, so that the contract is the driver command's, and the trainer needs no key to any store.
// Whether the job has ended well stands in its folder's result, for the cluster forgets it.
type jobs struct {
	cluster   cluster
	directory string // holds a folder for each job
	askAgain  time.Duration
}

// Train makes the job, or finds it. When ctx ends it goes on: the next bridge finds it.
func (d jobs) Train(ctx context.Context, j job, report func(progress)) (string, error) {
	if d.cluster == nil {
		return "", errNoCluster
	}
	if j.target.Kubernetes == nil {
		return "", worker.Permanent(fmt.Errorf("target %s has no pod: set targets.kubernetes", j.target.Name))
	}
	f := folder(filepath.Join(d.directory, j.name))
	if err := os.MkdirAll(f.out(), 0o755); err != nil {
		return "", fmt.Errorf("make job folder: %w", err)
	}
	lock, err := f.lock() // keeps the tidier out
	if err != nil {
		return "", fmt.Errorf("job %s: %w", j.name, err)
	}
	defer lock.Close()
	if code, err := f.result(); err == nil && code == 0 {
		return f.out(), nil
	}
	if err := d.run(ctx, j, f, report); err != nil {
		return "", fmt.Errorf("job %s: %w", j.name, err)
	}
	return f.out(), f.write("result", "0")
}

// run has the cluster run the job; while it is away the job is asked for again.
func (d jobs) run(ctx context.Context, j job, f folder, report func(progress)) error {
	argv := j.argv(f.out())
	work := kube.Job{
		Name: "train-" + j.name, Hash: hashLabel(argv, j.target.Kubernetes, j.timeout()), Argv: argv, Pod: *j.target.Kubernetes, Timeout: j.timeout(),
	}
	var last progress
	keep := func(p progress) { last = p; report(p) }
	say := func(why string) { said := last; said.Message = why; report(said) }
	for {
		err := d.cluster.Run(ctx, work, func(line []byte) { passOn(line, keep) }, say)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, kube.ErrFailed), errors.Is(err, kube.ErrForeign):
			return worker.Permanent(err)
		case !kube.IsAway(err):
			return err
		}
		say("the cluster does not answer: " + err.Error())
		select {
		case <-time.After(d.askAgain):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// hashLabel is a hash of all that makes an object what it is, as short as a label must be.
func hashLabel(parts ...any) string {
	text, err := json.Marshal(parts)
	if err != nil { // texts and numbers: never
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// pods is the deployer that has a checkpoint served by a Deployment and a Service of its own.
type pods struct {
	cluster cluster
	shelf   shelf
	probe   probe
}

// Name derives from everything that could change the server.
func (d *pods) Name(o order) string {
	return "policy-" + o.checkpoint.GetTarget() + "-" + d.hash(o)[:idLength]
}

func (d *pods) hash(o order) string {
	return hashLabel(o.checkpoint.GetSha256(), o.checkpoint.GetTarget(), o.generation, o.deploy.Command, o.deploy.Model, o.deploy.Ready, o.deploy.Timeout, o.deploy.Kubernetes)
}

// Ensure makes the server unless it is there.
func (d *pods) Ensure(ctx context.Context, o order) (served, error) {
	if d.cluster == nil {
		return served{}, errNoCluster
	}
	if o.deploy.Kubernetes == nil {
		return served{}, worker.Permanent(errors.New("deployer kubernetes has no pod: set deploy.kubernetes"))
	}
	path, err := d.shelf.fetch(ctx, o.checkpoint)
	if err != nil {
		return served{}, err
	}
	address, trouble, err := d.cluster.Serve(ctx, d.server(o, path))
	switch {
	case errors.Is(err, kube.ErrForeign):
		return served{}, worker.Permanent(err)
	case kube.IsAway(err):
		return served{}, notYet{err}
	case err != nil:
		return served{}, err
	case trouble != "":
		return served{}, notYet{fmt.Errorf("server %s: %s", d.Name(o), trouble)}
	}
	s := served{model: o.model(), endpoint: address}
	return s, d.probe.answers(ctx, o.deploy.Ready, s)
}

func (d *pods) server(o order, path string) kube.Server {
	s := kube.Server{
		Name: d.Name(o), Hash: d.hash(o), Pod: *o.deploy.Kubernetes, Ready: "/v1/models", Within: o.deploy.ReadyWithin(),
	}
	if o.deploy.Ready != "" {
		s.Ready = o.deploy.Ready
	}
	const everywhere = "0.0.0.0"
	port := strconv.Itoa(kube.Port)
	for _, arg := range o.deploy.Command {
		s.Command = append(s.Command, o.fill(arg, "{path}", path, "{model}", o.model(), "{host}", everywhere, "{port}", port))
	}
	if len(s.Command) == 0 { // what the entrypoint of vLLM's image takes
		s.Args = []string{"--model", path, "--served-model-name", o.model(), "--host", everywhere, "--port", port}
	}
	return s
}

// Servers lists those that there are.
func (d *pods) Servers(ctx context.Context) ([]string, error) {
	if d.cluster == nil {
		return nil, nil
	}
	return d.cluster.Servers(ctx)
}

// Retire deletes one.
func (d *pods) Retire(ctx context.Context, name string) error { return d.cluster.Retire(ctx, name) }

// Abandon deletes one: GPUs are dear, and what its pods said last is in the dead letter.
func (d *pods) Abandon(ctx context.Context, name string) error { return d.cluster.Retire(ctx, name) }

// openCluster opens the cluster that the bridge is told of; nil if it is told of none.
func openCluster(c config.Kubernetes, directory string, log *slog.Logger) (cluster, error) {
	if c.Namespace == "" {
		return nil, nil
	}
	return kube.Open(c, directory, log)
}
