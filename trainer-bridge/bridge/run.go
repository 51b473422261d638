package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/worker"
)

const (
	buildDeadline = 6 * time.Hour
	// deploys is how many checkpoints are waited for at once: one that never gets ready holds up no other.
	deploys = 8
	// tuningEvery is how often a hosted job is looked at.
	tuningEvery = 20 * time.Second
	// trainDeadline and deployDeadline are only a last resort: a job is bounded by its target's timeout, a deployment by
	// deploy.timeout.
	trainDeadline  = 30 * 24 * time.Hour
	deployDeadline = 30 * 24 * time.Hour
)

// Run serves build, train and deploy tasks and keeps the served checkpoints served, until ctx ends.
func Run(ctx context.Context, env *app.Env) error {
	settings := env.Config.Bridge
	directory, err := filepath.Abs(settings.Directory) // a trainer or model server may have another working directory
	if err != nil {
		return fmt.Errorf("bridge.directory: %w", err)
	}
	shelf := shelf{blobs: env.Blobs, directory: directory}
	cluster, err := openCluster(settings.Kubernetes, directory, env.Log)
	if err != nil {
		return err
	}
	metrics := newMetrics(env.Metrics.Registry())
	builder := &builder{
		bus: env.Bus, blobs: env.Blobs, spec: env.Spec, log: env.Log, partSize: partSize, metrics: metrics,
	}
	trainer := &trainer{
		bus: env.Bus, blobs: env.Blobs, spec: env.Spec, directory: directory, shelf: shelf, log: env.Log, metrics: metrics,
		drivers: drivers{
			config.DriverCommand:    newCommand(directory, env.Log),
			config.DriverKubernetes: jobs{cluster: cluster, directory: filepath.Join(directory, "jobs"), askAgain: askAgain},
			config.DriverOpenAI: tuning{
				directory: filepath.Join(directory, "jobs"), http: http.DefaultClient, key: apiKeys(env.Config.LLM), every: tuningEvery,
			},
		},
	}
	program, err := newProgram(settings, directory, shelf, probe{env.LLM, http.DefaultClient}, env.Log)
	if err != nil {
		return err
	}
	serving := &serving{bus: env.Bus, spec: env.Spec, log: env.Log, deployers: deployers{
		config.DeployerStatic:     static{probe{env.LLM, http.DefaultClient}},
		config.DeployerVLLMLoRA:   &vllmLora{shelf: shelf, models: env.LLM, http: http.DefaultClient, key: apiKeys(env.Config.LLM), log: env.Log},
		config.DeployerCommand:    program,
		config.DeployerKubernetes: &pods{cluster: cluster, shelf: shelf, probe: probe{env.LLM, http.DefaultClient}},
		config.DeployerOpenAI:     hosted{shelf, probe{env.LLM, http.DefaultClient}},
	}}
	reconciler := &reconciler{
		bus: env.Bus, spec: env.Spec, serving: serving, every: settings.Reconcile, log: env.Log, metrics: metrics,
		tidier: &tidier{bus: env.Bus, directory: directory, done: map[string]uint64{}},
	}

	group, ctx := errgroup.WithContext(ctx)
	serve := func(name string, slots int, deadline time.Duration, handle func(context.Context, *worker.Task) error) {
		group.Go(func() error {
			return worker.Serve(ctx, env.Bus, worker.Kind{
				Name: name, Slots: slots, Deadline: deadline, Drain: settings.Drain, Handle: handle,
			})
		})
	}
	serve("build", 1, buildDeadline, builder.handle)
	serve("train", max(settings.Jobs, 1), trainDeadline, trainer.handle)
	serve("deploy", deploys, deployDeadline, serving.handle)
	group.Go(func() error { return reconciler.run(ctx) })
	err = group.Wait()
	return errors.Join(err, program.StopAll())
}
