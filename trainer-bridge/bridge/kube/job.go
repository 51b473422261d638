package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ratchet-rl/ratchet/internal/config"
)

const (
	// attempts is how many pods of a job may fail.
	attempts = 3
	// keep is for how long a finished job stays, for people to look at and for a bridge that was away to find.
	keep = 7 * 24 * time.Hour
	// lastLines is how long the end of a log may take to arrive after its job has ended.
	lastLines = 5 * time.Second
	// told is the annotation of a failed job whose failure was reported.
	told = "ratchet-told"
)

// ErrFailed means that the job failed for good: the cluster has tried it as often as it may be.
var ErrFailed = errors.New("the job failed")

// Job is a program that runs once and ends.
type Job struct {
	Name    string // a DNS label
	Hash    string // of all that makes it what it is; a label's value
	Argv    []string
	Pod     config.Pod
	Timeout time.Duration
}

// kind is what the job is made as: a Job, or a TrainJob of Kubeflow Trainer.
func (j Job) kind() schema.GroupVersionResource {
	if j.Pod.Runtime != "" {
		return trainJobs
	}
	return jobs
}

// Run makes the job, unless it is there, and returns once it has ended. heard is called with each line of its pods' logs,
// waits with what keeps them from running. When ctx ends, the job goes on.
func (c *Cluster) Run(ctx context.Context, j Job, heard func(line []byte), waits func(why string)) error {
	if err := c.clear(ctx, j); err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	f := newFollower(c.logs)
	look := time.NewTicker(c.every)
	defer look.Stop()
	for why := ""; ; {
		ended, pods, err := c.look(ctx, j)
		if err != nil {
			return err
		}
		f.follow(following, pods)
		if now := troubles(pods); now != why {
			if why = now; why != "" {
				waits(why)
			}
		}
		if ended != nil {
			f.drain(heard)
			return c.outcome(ctx, j, ended, pods)
		}
		if err := f.wait(ctx, look.C, heard); err != nil {
			return err
		}
	}
}

// wait passes lines on until it is time to look again.
func (f *follower) wait(ctx context.Context, look <-chan time.Time, heard func([]byte)) error {
	for {
		select {
		case line := <-f.lines:
			heard(line)
		case pod := <-f.ended:
			f.over(pod)
		case <-look:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// drain passes on what is left of the logs.
func (f *follower) drain(heard func([]byte)) {
	limit := time.After(lastLines)
	for {
		open := false
		for _, is := range f.open {
			open = open || is
		}
		if !open {
			return
		}
		select {
		case line := <-f.lines:
			heard(line)
		case pod := <-f.ended:
			f.over(pod)
		case <-limit:
			return
		}
	}
}

// end is how a job ended.
type end struct {
	complete        bool
	reason, message string
}

// look makes the job if it is not there, and says how it ended; nil if it has not.
func (c *Cluster) look(ctx context.Context, j Job) (*end, []corev1.Pod, error) {
	found, err := c.job(ctx, j)
	if err != nil {
		return nil, nil, err
	}
	if found == nil {
		return nil, nil, c.make(ctx, j)
	}
	pods, err := c.podsOf(ctx, j.selector())
	if err != nil {
		return nil, nil, err
	}
	return ended(found), pods, nil
}

// job reads the job; nil if there is none.
func (c *Cluster) job(ctx context.Context, j Job) (*conditioned, error) {
	found, err := get[conditioned](ctx, c, j.kind(), j.Name)
	if err != nil || found == nil {
		return nil, err
	}
	return found, c.mine(j.kind(), j.Name, found.Labels[labelHash], j.Hash)
}

// conditioned is what a Job and a TrainJob have in common.
type conditioned struct {
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Status            struct {
		Conditions []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"conditions"`
	} `json:"status"`
}

func ended(job *conditioned) *end {
	for _, condition := range job.Status.Conditions {
		if condition.Status != string(metav1.ConditionTrue) {
			continue
		}
		switch condition.Type { // the same words in both kinds
		case string(batchv1.JobComplete):
			return &end{complete: true}
		case string(batchv1.JobFailed):
			return &end{reason: condition.Reason, message: condition.Message}
		}
	}
	return nil
}

// selector picks the job's pods. A TrainJob's pods are made by the JobSet of its name.
func (j Job) selector() string {
	if j.Pod.Runtime != "" {
		return "jobset.sigs.k8s.io/jobset-name=" + j.Name
	}
	return batchv1.JobNameLabel + "=" + j.Name
}

// outcome is the error of a job that has ended; it is noted that it was told.
func (c *Cluster) outcome(ctx context.Context, j Job, e *end, pods []corev1.Pod) error {
	if e.complete {
		return nil
	}
	err := fmt.Errorf("%w: %s: %s", ErrFailed, e.reason, e.message)
	if why := troubles(pods); why != "" {
		err = fmt.Errorf("%w; %s", err, why)
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"true"}}}`, told)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, failure := c.objects.Resource(j.kind()).Namespace(c.namespace).Patch(ctx, j.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	if failure != nil {
		return errors.Join(err, c.failed("annotate", j.kind(), j.Name, failure))
	}
	return err
}

// clear deletes a job of our name that failed and was told of: the operator has mended it and wants it run again.
func (c *Cluster) clear(ctx context.Context, j Job) error {
	for {
		found, err := c.job(ctx, j)
		if err != nil || found == nil {
			return err
		}
		e := ended(found)
		if e == nil || e.complete || found.Annotations[told] == "" {
			return nil
		}
		if gone, err := c.remove(ctx, j.kind(), j.Name); err != nil || gone {
			return err
		}
		select {
		case <-time.After(c.every):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// make makes the job. That another was faster is as good.
func (c *Cluster) make(ctx context.Context, j Job) error {
	object, err := c.manifest(j)
	if err != nil {
		return err
	}
	c.log.Info("making a job in the cluster", "kind", j.kind().Resource, "namespace", c.namespace, "name", j.Name, "image", j.Pod.Image)
	return c.ensure(ctx, j.kind(), object)
}

func (c *Cluster) manifest(j Job) (any, error) {
	labels := c.labels(j.Name, j.Hash)
	template, err := c.template(labels, j.Pod, corev1.Container{Name: "trainer", Command: j.Argv})
	if err != nil {
		return nil, err
	}
	meta := metav1.ObjectMeta{Name: j.Name, Namespace: c.namespace, Labels: labels}
	if j.Pod.Runtime != "" {
		return newTrainJob(meta, manager, j.Pod, j.Timeout, template), nil
	}
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	spec := batchv1.JobSpec{
		Parallelism: new(int32(1)), Completions: new(int32(1)), BackoffLimit: new(int32(attempts - 1)),
		TTLSecondsAfterFinished: new(int32(keep / time.Second)),
		PodFailurePolicy:        failurePolicy(),
		// Not before the old one has ended: both write to one folder.
		PodReplacementPolicy: new(batchv1.Failed),
		Template:             template,
	}
	if j.Timeout > 0 {
		spec.ActiveDeadlineSeconds = new(seconds(j.Timeout))
	}
	return &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: meta, Spec: spec,
	}, nil
}

// hopeless are the exit codes by which a program says that no repetition mends what is wrong (EX_USAGE, EX_DATAERR,
// EX_NOINPUT, EX_CONFIG of sysexits(3)), or a shell that it cannot be run.
var hopeless = []int32{64, 65, 66, 78, 126, 127}

// failurePolicy: what the cluster does to a pod is not the trainer's failure, and what is hopeless is not tried
// again.
func failurePolicy() *batchv1.PodFailurePolicy {
	return &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{
			Action: batchv1.PodFailurePolicyActionIgnore,
			OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
				{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue},
			},
		},
		{
			Action: batchv1.PodFailurePolicyActionFailJob,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: hopeless,
			},
		},
	}}
}

// seconds rounds up: 0 would mean at once.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
