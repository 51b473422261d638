package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ratchet-rl/ratchet/internal/config"
)

func exampleJob() Job {
	return Job{
		Name: "own-0123456789abcdef", Hash: "0123", Argv: []string{"train", "--out", "/checkpoints/jobs/x/out"}, Timeout: time.Hour,
		Pod: config.Pod{
			Image: "trainer:1", GPUs: 4, CPU: "8", Memory: "64Gi", Nodes: map[string]string{"gpu": "h100"},
			Env: map[string]string{"HF_HUB_OFFLINE": "1"}, Secrets: []string{"hugging-face"},
		},
	}
}

// bridge is a call of Run that goes on beside the test.
type bridge struct {
	stop  context.CancelFunc
	ended chan error
	lines chan string
	waits chan string
}

func run(t *testing.T, c *Cluster, j Job) *bridge {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	const plenty = 100
	b := &bridge{stop: stop, ended: make(chan error, 1), lines: make(chan string, plenty), waits: make(chan string, plenty)}
	go func() {
		b.ended <- c.Run(ctx, j, func(line []byte) { b.lines <- string(line) }, func(why string) { b.waits <- why })
	}()
	t.Cleanup(stop)
	return b
}

func (b *bridge) result(t *testing.T) error { t.Helper(); return receive(t, b.ended) }

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came in 30 s")
		panic("not reached")
	}
}

// await waits until an object is there.
func await[T any](t *testing.T, what string, look func() (*T, error)) *T {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		found, err := look()
		if err != nil {
			t.Fatal(err)
		}
		if found != nil {
			return found
		}
	}
	t.Fatalf("no %s", what)
	return nil
}

func awaitJob(t *testing.T, c *Cluster, j Job) *batchv1.Job {
	t.Helper()
	return await(t, "job", func() (*batchv1.Job, error) { return get[batchv1.Job](t.Context(), c, jobs, j.Name) })
}

// says sets a job's or pod's status, as its controller or kubelet does.
func says(t *testing.T, c *Cluster, kind schema.GroupVersionResource, name string, status any) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.objects.Resource(kind).Namespace(c.namespace).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
}

// completes and fails are what the Job controller of Kubernetes 1.34 says at the end; the API server checks it.
func completes(t *testing.T, c *Cluster, name string) {
	t.Helper()
	now := metav1.Now()
	says(t, c, jobs, name, batchv1.JobStatus{
		StartTime: &now, CompletionTime: &now, Succeeded: 1, UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{},
		Conditions: []batchv1.JobCondition{
			{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, LastTransitionTime: now},
			{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: now},
		},
	})
}

func fails(t *testing.T, c *Cluster, name, reason, message string) {
	t.Helper()
	now := metav1.Now()
	says(t, c, jobs, name, batchv1.JobStatus{
		StartTime: &now, Failed: 3, UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{},
		Conditions: []batchv1.JobCondition{
			{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: now},
			{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: now},
		},
	})
}

// pod is a pod of the job, as its controller makes it.
func (r *rig) pod(t *testing.T, c *Cluster, job *batchv1.Job, name string) {
	t.Helper()
	labels := map[string]any{batchv1.JobNameLabel: job.Name}
	for key, value := range job.Spec.Template.Labels {
		labels[key] = value
	}
	r.create(t, pods, c.namespace, map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "labels": labels},
		"spec": map[string]any{"restartPolicy": "Never", "containers": []any{map[string]any{"name": "trainer", "image": "trainer:1"}}},
	})
}

// The API server takes the job, with all that was asked for.
func TestJobIsMade(t *testing.T) {
	each(t, func(t *testing.T, r *rig, namespace string) {
		c, j := r.cluster(t, namespace, ""), exampleJob()
		b := run(t, c, j)
		made := awaitJob(t, c, j)
		spec, container := made.Spec, made.Spec.Template.Spec.Containers[0]
		gpus := container.Resources.Limits["nvidia.com/gpu"]
		switch {
		case gpus.Value() != 4 || container.Image != "trainer:1" || !slices.Equal(container.Command, j.Argv):
			t.Errorf("container %+v, want 4 GPUs and the command", container)
		case *spec.ActiveDeadlineSeconds != 3600 || *spec.BackoffLimit != attempts-1 || *spec.PodReplacementPolicy != batchv1.Failed:
			t.Errorf("spec %+v, want an hour, two more attempts, and one pod at a time", spec)
		case spec.PodFailurePolicy.Rules[0].Action != batchv1.PodFailurePolicyActionIgnore:
			t.Errorf("policy %+v, want disruptions ignored", spec.PodFailurePolicy)
		case spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != "checkpoints" || container.VolumeMounts[0].MountPath != "/checkpoints":
			t.Errorf("volumes %+v, want the claim", spec.Template.Spec.Volumes)
		case *spec.Template.Spec.AutomountServiceAccountToken:
			t.Error("the trainer has a token")
		}
		completes(t, c, j.Name)
		if err := b.result(t); err != nil {
			t.Error(err)
		}
	})
}

// TestJobIsAdopted: a bridge that goes leaves its job, and the next makes no second and hears of its end.
func TestJobIsAdopted(t *testing.T) {
	each(t, func(t *testing.T, r *rig, namespace string) {
		c, j := r.cluster(t, namespace, ""), exampleJob()
		first := run(t, c, j)
		made := awaitJob(t, c, j)
		first.stop()
		if err := first.result(t); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the bridge's end", err)
		}
		second := run(t, r.cluster(t, namespace, ""), j)
		completes(t, c, j.Name)
		if err := second.result(t); err != nil {
			t.Error(err)
		}
		if after := awaitJob(t, c, j); after.UID != made.UID {
			t.Error("a second job was made")
		}
	})
}

// TestForeignJob: what has our name and another hash is left alone.
func TestForeignJob(t *testing.T) {
	each(t, func(t *testing.T, r *rig, namespace string) {
		c, j := r.cluster(t, namespace, ""), exampleJob()
		if err := c.make(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		if err := c.make(t.Context(), j); err != nil { // a lost reply, or another bridge
			t.Errorf("error %v, want 409 taken as done", err)
		}
		other := j
		other.Hash = "4567"
		for _, err := range []error{c.make(t.Context(), other), run(t, c, other).result(t)} {
			if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), j.Name) {
				t.Errorf("error %v, want it named as somebody else's", err)
			}
		}
	})
}

// TestJobFails: the reason is the controller's, the last words are the pod's; told once, the job is made anew when it is
// asked for again.
func TestJobFails(t *testing.T) {
	each(t, func(t *testing.T, r *rig, namespace string) {
		c, j := r.cluster(t, namespace, ""), exampleJob()
		b := run(t, c, j)
		made := awaitJob(t, c, j)
		r.pod(t, c, made, "own-pod")
		says(t, c, pods, "own-pod", corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "trainer", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", Message: "step 12"}},
		}}})
		fails(t, c, j.Name, batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
		err := b.result(t)
		for _, want := range []string{"BackoffLimitExceeded", "137 (OOMKilled)", "step 12"} {
			if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v does not say %q", err, want)
			}
		}
		again := run(t, c, j)
		// Deletion in the foreground is the garbage collector's work, which the rig has not.
		fresh := await(t, "second job", func() (*batchv1.Job, error) {
			found, err := get[batchv1.Job](t.Context(), c, jobs, j.Name)
			if found == nil || found.UID != made.UID {
				return found, err
			}
			if found.DeletionTimestamp != nil {
				unfinalize(t, c, j.Name)
			}
			return nil, err
		})
		completes(t, c, fresh.Name)
		if err := again.result(t); err != nil {
			t.Error(err)
		}
	})
}

func unfinalize(t *testing.T, c *Cluster, name string) {
	t.Helper()
	_, err := c.objects.Resource(jobs).Namespace(c.namespace).Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUntoldFailure: a bridge that was killed between a job's failure and telling of it: the next one tells, and does not
// run hours of training again.
func TestUntoldFailure(t *testing.T) {
	each(t, func(t *testing.T, r *rig, namespace string) {
		c, j := r.cluster(t, namespace, ""), exampleJob()
		if err := c.make(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		fails(t, c, j.Name, batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
		if err := run(t, c, j).result(t); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "DeadlineExceeded") {
			t.Errorf("error %v, want the failure", err)
		}
	})
}

// TestDeletedJobIsMadeAnew: somebody deletes a job that runs.
func TestDeletedJobIsMadeAnew(t *testing.T) {
	each(t, func(t *testing.T, r *rig, namespace string) {
		c, j := r.cluster(t, namespace, ""), exampleJob()
		b := run(t, c, j)
		made := awaitJob(t, c, j)
		background := metav1.DeletePropagationBackground
		if err := c.objects.Resource(jobs).Namespace(namespace).Delete(t.Context(), j.Name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
			t.Fatal(err)
		}
		await(t, "second job", func() (*batchv1.Job, error) {
			found, err := get[batchv1.Job](t.Context(), c, jobs, j.Name)
			if found == nil || found.UID == made.UID {
				return nil, err
			}
			return found, err
		})
		completes(t, c, j.Name)
		if err := b.result(t); err != nil {
			t.Error(err)
		}
	})
}

// TestWaitingIsTold: what keeps a pod from running reaches the operator.
func TestWaitingIsTold(t *testing.T) {
	each(t, func(t *testing.T, r *rig, namespace string) {
		c, j := r.cluster(t, namespace, ""), exampleJob()
		b := run(t, c, j)
		r.pod(t, c, awaitJob(t, c, j), "own-pod")
		says(t, c, pods, "own-pod", corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
		}}})
		if why := receive(t, b.waits); !strings.Contains(why, "Insufficient nvidia.com/gpu") {
			t.Errorf("told %q, want the scheduler's words", why)
		}
		says(t, c, pods, "own-pod", map[string]any{"conditions": nil, "containerStatuses": []corev1.ContainerStatus{{
			Name: "trainer", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image"}},
		}}})
		if why := receive(t, b.waits); !strings.Contains(why, "ImagePullBackOff") {
			t.Errorf("told %q, want the kubelet's words", why)
		}
	})
}

// TestLogIsFollowed: the lines of the pods come, also after a log was cut off. The rig has no kubelet, so that the log
// itself is a stand-in.
func TestLogIsFollowed(t *testing.T) {
	each(t, func(t *testing.T, r *rig, namespace string) {
		c, j := r.cluster(t, namespace, ""), exampleJob()
		var opened []time.Time
		c.logs = func(_ context.Context, pod string, since time.Time) (io.ReadCloser, error) {
			opened = append(opened, since)
			long := strings.Repeat("x", maxLine+10)
			return io.NopCloser(strings.NewReader(fmt.Sprintf("{\"done\":%d}\n%s\nlast of %s", len(opened), long, pod))), nil
		}
		b := run(t, c, j)
		r.pod(t, c, awaitJob(t, c, j), "own-pod")
		says(t, c, pods, "own-pod", corev1.PodStatus{Phase: corev1.PodRunning})
		for i, want := range []string{`{"done":1}`, "x", "last of own-pod", `{"done":2}`} {
			if line := receive(t, b.lines); !strings.HasPrefix(line, want) {
				t.Errorf("line %d is %.40q, want %q", i, line, want)
			}
		}
		says(t, c, pods, "own-pod", corev1.PodStatus{Phase: corev1.PodSucceeded})
		completes(t, c, j.Name)
		if err := b.result(t); err != nil {
			t.Error(err)
		}
		if !opened[0].IsZero() || opened[1].IsZero() {
			t.Errorf("the log was opened from %v, want from its beginning, then from where it was cut off", opened)
		}
	})
}
