package kube

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/ratchet-rl/ratchet/internal/config"
)

func exampleServer(name string) Server {
	return Server{
		Name: name, Hash: "0123", Args: []string{"--model", "/checkpoints/checkpoints/c0ffee", "--port", "8000"}, Ready: "/v1/models", Within: time.Minute,
		Pod: config.Pod{Image: "vllm/vllm-openai:v0.11.0", GPUs: 1, Memory: "32Gi"},
	}
}

// TestServe: a Deployment and a Service, made once, whose pods' troubles are told; then retired.
func TestServe(t *testing.T) {
	each(t, func(t *testing.T, r *rig, namespace string) {
		c, s := r.cluster(t, namespace, ""), exampleServer("own-1")
		for range 2 { // the second time the reply was lost, or it is another bridge
			address, why, err := c.Serve(t.Context(), s)
			if err != nil || address != "http://own-1."+namespace+".svc:8000/v1" || !strings.Contains(why, "no pod") {
				t.Errorf("%q, %q, %v, want the Service's address and that there are no pods yet", address, why, err)
			}
		}
		d, err := get[appsv1.Deployment](t.Context(), c, deployments, s.Name)
		if err != nil || d == nil {
			t.Fatal(err)
		}
		container := d.Spec.Template.Spec.Containers[0]
		if container.StartupProbe.FailureThreshold != 12 || !container.VolumeMounts[0].ReadOnly || !slices.Equal(container.Args, s.Args) || len(container.Command) != 0 {
			t.Errorf("container %+v, want vLLM's arguments, a minute to start, and nothing to write to", container)
		}
		for _, step := range []struct {
			status corev1.PodStatus
			want   string
		}{
			{corev1.PodStatus{Phase: corev1.PodPending}, "0 of 1 pods are ready"},
			{corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
				Name: "server", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "CUDA out of memory"}},
			}}}, "CUDA out of memory"},
			{corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
				Name: "server", LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}, // it was restarted
			}}, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}, ""},
		} {
			if step.want == "0 of 1 pods are ready" {
				r.create(t, pods, namespace, map[string]any{
					"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "own-1-x", "labels": map[string]any{labelName: "own-1"}},
					"spec": map[string]any{"containers": []any{map[string]any{"name": "server", "image": "i"}}},
				})
			}
			says(t, c, pods, "own-1-x", step.status)
			if _, why, err := c.Serve(t.Context(), s); err != nil || step.want == "" && why != "" || !strings.Contains(why, step.want) {
				t.Errorf("%q, %v, want %q", why, err, step.want)
			}
		}
	})
}

// TestServersAreRetired: each bridge sees its own, also the half that a crash has left.
func TestServersAreRetired(t *testing.T) {
	each(t, func(t *testing.T, r *rig, namespace string) {
		c, other := r.cluster(t, namespace, ""), r.cluster(t, namespace, "")
		other.claim = "others"
		for _, name := range []string{"own-1", "own-2"} {
			if _, _, err := c.Serve(t.Context(), exampleServer(name)); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := other.Serve(t.Context(), exampleServer("own-3")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.remove(t.Context(), deployments, "own-1"); err != nil { // between the two
			t.Fatal(err)
		}
		if names, err := c.Servers(t.Context()); err != nil || !slices.Equal(names, []string{"own-1", "own-2"}) {
			t.Errorf("servers %q (%v), want our two", names, err)
		}
		for _, name := range []string{"own-1", "own-2", "own-2"} {
			if err := c.Retire(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
		d, err := get[appsv1.Deployment](t.Context(), c, deployments, "own-2")
		if err != nil || d != nil && d.DeletionTimestamp == nil {
			t.Errorf("deployment %v (%v), want it deleted", d, err)
		}
		if s, err := get[corev1.Service](t.Context(), c, services, "own-2"); err != nil || s != nil && s.DeletionTimestamp == nil {
			t.Errorf("service %v (%v), want it deleted", s, err)
		}
	})
}

// TestRole: the bridge's ServiceAccount may do all that it does, by the Role that is installed, and nothing else.
func TestRole(t *testing.T) {
	t.Parallel()
	r, namespace := newRig(t)
	r.install(t, namespace, "../../../k8s/components/cluster/role.yaml")
	c := r.cluster(t, namespace, "system:serviceaccount:"+namespace+":trainer-bridge")
	j, s := exampleJob(), exampleServer("own-1")
	if err := c.make(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	fails(t, r.cluster(t, namespace, ""), j.Name, "BackoffLimitExceeded", "")
	if err := run(t, c, j).result(t); err == nil || strings.Contains(err.Error(), "forbidden") {
		t.Errorf("error %v, want the job's failure", err)
	}
	if _, err := c.remove(t.Context(), jobs, j.Name); err != nil {
		t.Error(err)
	}
	if _, _, err := c.Serve(t.Context(), s); err != nil {
		t.Error(err)
	}
	if _, err := c.Servers(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Retire(t.Context(), s.Name); err != nil {
		t.Error(err)
	}
	_, err := c.logs(t.Context(), "none", time.Time{})
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v of a log of no pod, want 404 and not 403", err)
	}
	secrets := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	if _, err := list[corev1.Secret](t.Context(), c, secrets, ""); err == nil || !strings.Contains(err.Error(), "components/cluster") {
		t.Errorf("error %v of reading secrets, want it forbidden, and the Role named", err)
	}
}

// install applies a file of the manifests.
func (r *rig) install(t *testing.T, namespace, file string) {
	t.Helper()
	data, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	for decoder := yaml.NewYAMLOrJSONDecoder(data, 4<<10); ; {
		object := map[string]any{}
		if err := decoder.Decode(&object); err != nil {
			return // io.EOF
		}
		if len(object) == 0 {
			continue
		}
		u := unstructured.Unstructured{Object: object}
		kind := schema.GroupVersionResource{
			Group: u.GroupVersionKind().Group, Version: u.GroupVersionKind().Version, Resource: strings.ToLower(u.GetKind()) + "s",
		}
		if subjects, ok := object["subjects"].([]any); ok { // kustomize adds the namespace
			subjects[0].(map[string]any)["namespace"] = namespace
		}
		r.create(t, kind, namespace, object)
	}
}
