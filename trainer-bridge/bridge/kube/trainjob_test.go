package kube

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubeflow is where the resource definition that Kubeflow publishes comes from: the module's own manifests.
const kubeflow = "github.com/kubeflow/trainer/v2@v2.3.0"

// TestTrainJob: the API server takes what is made for a TrainJob as Kubeflow defines it, every field of it. There is no
// Kubeflow behind it: what its controller would say, the test does.
func TestTrainJob(t *testing.T) {
	t.Parallel()
	r, namespace := newRig(t)
	r.installTrainJobs(t)
	c, j := r.cluster(t, namespace, ""), exampleJob()
	j.Pod.Runtime, j.Pod.Replicas = "torch-distributed", 2
	b := run(t, c, j)
	made := await(t, "TrainJob", func() (*trainJob, error) { return get[trainJob](t.Context(), c, trainJobs, j.Name) })
	switch patch := made.Spec.RuntimePatches[0].TrainingRuntimeSpec.Template.Spec.ReplicatedJobs[0]; {
	case made.Spec.RuntimeRef.Name != "torch-distributed" || made.Spec.Trainer.NumNodes != 2 || made.Spec.ActiveDeadline != 3600:
		t.Errorf("spec %+v, want the runtime, two nodes and an hour", made.Spec)
	case patch.Name != node || patch.Template.Spec.Template.Spec.Containers[0].VolumeMounts[0].MountPath != "/checkpoints":
		t.Errorf("patch %+v, want the volume in the container %s", patch, node)
	}
	says(t, c, trainJobs, j.Name, map[string]any{"conditions": []metav1.Condition{{
		Type: "Failed", Status: metav1.ConditionTrue, Reason: "DeadlineExceeded", Message: "too long", LastTransitionTime: metav1.Now(),
	}}})
	if err := b.result(t); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "DeadlineExceeded: too long") {
		t.Errorf("error %v, want the TrainJob's reason", err)
	}
}

var installed sync.Once

// installTrainJobs installs the definition, and waits until it is served.
func (r *rig) installTrainJobs(t *testing.T) {
	t.Helper()
	installed.Do(func() {
		out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", kubeflow).Output()
		var module struct{ Dir string }
		if err == nil {
			err = json.Unmarshal(out, &module)
		}
		if err != nil {
			t.Fatalf("download %s: %v: %s", kubeflow, err, out)
		}
		r.install(t, "", filepath.Join(module.Dir, "manifests/base/crds/trainer.kubeflow.org_trainjobs.yaml"))
	})
	await(t, "kind TrainJob", func() (*bool, error) {
		_, err := r.client(t).Resource(trainJobs).Namespace("default").List(t.Context(), metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return new(true), err
	})
}
