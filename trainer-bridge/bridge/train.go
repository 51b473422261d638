package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

const (
	// maxAttempts is how often a job that fails is started: it may cost hours each time.
	maxAttempts = 3
	// reportEvery is the least time between two progress events of a job.
	reportEvery = time.Second
	// reportTimeout bounds the publishing of one, so that a bus that is away does not hold up looking at the job.
	reportTimeout = 5 * time.Second
)

// trainer serves train tasks: a mixture becomes a checkpoint.
type trainer struct {
	bus       *bus.Conn
	blobs     blob.Store
	spec      specOf
	directory string
	drivers   drivers
	shelf     shelf
	log       *slog.Logger
	metrics   *metrics
}

// handle trains one target. A crash anywhere is mended by doing it again: the mixture is on this machine, the job
// is found by its name, and the checkpoint's keys derive from its content.
func (t *trainer) handle(ctx context.Context, task *worker.Task) error {
	work := task.GetTrain()
	if work == nil {
		return invalid(task, "the target and the mixture")
	}
	subject := bus.TrainingSubject(task.Run(), task.Generation(), work.GetTarget(), "checkpoint")
	if done, err := isPublished(ctx, t.bus, subject); done || err != nil {
		return err
	}
	j, err := t.prepare(ctx, task, work)
	if err != nil {
		return err
	}
	started := time.Now()
	out, err := t.train(ctx, task, j)
	if err != nil {
		return err
	}
	checkpoint, err := t.keep(ctx, task, j, out)
	if err != nil {
		return err
	}
	checkpoint.Mixture = work.GetMixture().GetId()
	checkpoint.ElapsedMs = time.Since(started).Milliseconds()
	t.log.Info("trained", "run", task.Run(), "generation", task.Generation(), "target", j.target.Name,
		"checkpoint", checkpoint.GetId(), "job", j.name)
	return publish(ctx, t.bus, subject, &pb.Event{
		Run: task.Run(), Generation: int32(task.Generation()), Body: &pb.Event_Checkpoint{Checkpoint: checkpoint},
	})
}

// invalid is the error of a task that does not say what to do.
func invalid(task *worker.Task, want string) error {
	err := fmt.Errorf("task %s of kind %s names no work; want %s", task.GetId(), task.GetKind(), want)
	return worker.Permanent(worker.WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, err))
}

// prepare brings the mixture here and names the job.
func (t *trainer) prepare(ctx context.Context, task *worker.Task, work *pb.Train) (job, error) {
	spec, err := t.spec(ctx, task.Run())
	if err != nil {
		return job{}, err
	}
	target, err := targetOf(spec, work.GetTarget())
	if err != nil {
		return job{}, err
	}
	manifest, err := fetchMixture(ctx, t.blobs, t.directory, work.GetMixture())
	if err != nil {
		return job{}, fmt.Errorf("fetch mixture: %w", err)
	}
	return newJob(work.GetMixture(), target, spec.Seed, task.Generation(), manifest)
}

func targetOf(spec config.Run, name string) (config.Target, error) {
	i := slices.IndexFunc(spec.Targets, func(t config.Target) bool { return t.Name == name })
	if i < 0 {
		return config.Target{}, worker.Permanent(fmt.Errorf("run %s has no target %q", spec.Name, name))
	}
	return spec.Targets[i], nil
}

// train has the driver do the job and returns the folder of the model.
func (t *trainer) train(ctx context.Context, task *worker.Task, j job) (string, error) {
	driver, err := t.drivers.of(j.target.Driver)
	if err != nil {
		return "", worker.Permanent(err)
	}
	r := &reporter{bus: t.bus, log: t.log, task: task, job: j}
	out, err := driver.Train(ctx, j, func(p progress) { r.running(ctx, p) })
	switch {
	case err == nil:
		t.ended(j, "succeeded")
		r.finished(ctx, pb.JobState_JOB_STATE_SUCCEEDED, "")
		return out, nil
	case ctx.Err() != nil: // the bridge stops, which says nothing of the job
		t.ended(j, "stopped")
		return "", err
	}
	t.ended(j, "failed")
	r.finished(ctx, pb.JobState_JOB_STATE_FAILED, err.Error())
	if task.Delivered >= maxAttempts {
		return "", worker.Permanent(fmt.Errorf("given up at attempt %d: %w", task.Delivered, err))
	}
	return "", err
}

func (t *trainer) ended(j job, result string) {
	t.metrics.jobs.WithLabelValues(j.target.Name, result).Inc()
}

// keep stores the model as a checkpoint, in the blob store and on the shelf.
func (t *trainer) keep(ctx context.Context, task *worker.Task, j job, out string) (*pb.Checkpoint, error) {
	c, err := readCheckpoint(out)
	if err != nil {
		return nil, worker.Permanent(fmt.Errorf("job %s: %w", j.name, err))
	}
	prefix := path.Join("checkpoints", task.Run(), fmt.Sprint(task.Generation()), j.target.Name)
	uri, err := c.upload(ctx, t.blobs, prefix)
	if err != nil {
		return nil, err
	}
	if err := t.shelf.put(c); err != nil {
		return nil, fmt.Errorf("shelve checkpoint %s: %w", c.id(), err)
	}
	return &pb.Checkpoint{
		Id: c.id(), Target: j.target.Name, Uri: uri, Sha256: c.sha256, Base: j.target.Base, Job: j.name,
		Bytes: c.bytes(),
	}, nil
}

// reporter publishes the progress of one job. Losing an event of it loses nothing: a report that fails is logged.
type reporter struct {
	bus  *bus.Conn
	log  *slog.Logger
	task *worker.Task
	job  job

	last     progress
	reported time.Time
}

func (r *reporter) running(ctx context.Context, p progress) {
	r.last = p
	if time.Since(r.reported) < reportEvery {
		return
	}
	r.reported = time.Now()
	r.publish(ctx, pb.JobState_JOB_STATE_RUNNING, p.Message)
}

func (r *reporter) finished(ctx context.Context, state pb.JobState, message string) {
	if message == "" {
		message = r.last.Message
	}
	r.publish(ctx, state, message)
}

func (r *reporter) publish(ctx context.Context, state pb.JobState, message string) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	subject := bus.TrainingSubject(r.task.Run(), r.task.Generation(), r.job.target.Name, "job")
	event := &pb.Event{
		// The subject repeats, so the id must tell the reports apart.
		Id:  fmt.Sprintf("%s.%s.%d.%d.%s", subject, r.job.name, r.task.Delivered, r.last.Done, state),
		Run: r.task.Run(), Generation: int32(r.task.Generation()),
		Body: &pb.Event_Job{Job: &pb.Job{
			Name: r.job.name, Target: r.job.target.Name, Driver: r.job.target.Driver, State: state,
			Done: r.last.Done, Total: r.last.Total, Loss: r.last.Loss, Message: message,
		}},
	}
	if err := publish(ctx, r.bus, subject, event); err != nil {
		r.log.Warn("could not report a job's progress", "job", r.job.name, "err", err)
	}
}
