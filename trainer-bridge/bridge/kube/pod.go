package kube

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ratchet-rl/ratchet/internal/config"
)

const (
	// volume is the one that the bridge and the pods share.
	volume = "checkpoints"
	// user is who the pods run as: the bridge's own, in k8s/base, because they write to the same folders.
	user = 65532
	// usualGPU is the resource that a GPU is counted as.
	usualGPU = "nvidia.com/gpu"
)

// template is a pod with one container and the volume.
func (c *Cluster) template(labels map[string]string, p config.Pod, container corev1.Container) (corev1.PodTemplateSpec, error) {
	resources, err := requirements(p)
	if err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	container.Image, container.Resources = p.Image, resources
	container.Env, container.EnvFrom = env(p), envFrom(p)
	container.VolumeMounts = []corev1.VolumeMount{
		{Name: volume, MountPath: c.directory}, {Name: "tmp", MountPath: "/tmp"}, {Name: "shm", MountPath: "/dev/shm"},
	}
	container.SecurityContext = &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	// The end of the log is the last word of a container that failed.
	container.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
		AutomountServiceAccountToken: new(false),
		EnableServiceLinks:           new(false), // a program may take the variables of some Service for its own
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(user)), RunAsGroup: new(int64(user)), FSGroup: new(int64(user)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		NodeSelector: p.Nodes,
		Tolerations:  tolerations(p),
		Containers:   []corev1.Container{container},
		Volumes: []corev1.Volume{
			{Name: volume, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c.claim}}},
			{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			// What is in /dev/shm by default, 64 MiB, is too little for torch's workers and NCCL.
			{Name: "shm", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
		},
	}}, nil
}

// requirements asks for what the pod needs.
func requirements(p config.Pod) (corev1.ResourceRequirements, error) {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for name, text := range map[corev1.ResourceName]string{corev1.ResourceCPU: p.CPU, corev1.ResourceMemory: p.Memory} {
		if text == "" {
			continue
		}
		amount, err := resource.ParseQuantity(text)
		if err != nil {
			return r, fmt.Errorf("%s of the pod is %q: %w", name, text, err)
		}
		r.Requests[name] = amount
		if name == corev1.ResourceMemory {
			r.Limits[name] = amount
		}
	}
	if p.GPUs > 0 {
		r.Limits[gpu(p)] = *resource.NewQuantity(int64(p.GPUs), resource.DecimalSI) // a request of the same follows
	}
	return r, nil
}

func gpu(p config.Pod) corev1.ResourceName { return corev1.ResourceName(cmp.Or(p.GPU, usualGPU)) }

// tolerations let the pod onto nodes that are kept for those that need their GPUs.
func tolerations(p config.Pod) []corev1.Toleration {
	if p.GPUs == 0 {
		return nil
	}
	return []corev1.Toleration{{Key: string(gpu(p)), Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
}

// env is the pod's environment. Its user has no line in the image's /etc/passwd, so it is told its name and home.
func env(p config.Pod) []corev1.EnvVar {
	values := map[string]string{"HOME": "/tmp", "USER": "ratchet"}
	maps.Copy(values, p.Env)
	var all []corev1.EnvVar
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, corev1.EnvVar{Name: name, Value: values[name]})
	}
	return all
}

func envFrom(p config.Pod) []corev1.EnvFromSource {
	var all []corev1.EnvFromSource
	for _, name := range p.Secrets {
		all = append(all, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}})
	}
	return all
}

func sortByAge(all []corev1.Pod) {
	slices.SortStableFunc(all, func(a, b corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// trouble says what keeps a pod from running, or how it ended; empty if nothing does.
func trouble(p corev1.Pod) string {
	var all []string
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			all = append(all, condition.Reason+": "+condition.Message)
		}
	}
	if p.Status.Reason != "" { // such as Evicted
		all = append(all, p.Status.Reason+": "+p.Status.Message)
	}
	for _, container := range p.Status.ContainerStatuses {
		all = append(all, containerTrouble(container)...)
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("pod %s: %s", p.Name, strings.Join(all, "; "))
}

func containerTrouble(c corev1.ContainerStatus) []string {
	var all []string
	// Without a message it is on its way: ContainerCreating.
	if w := c.State.Waiting; w != nil && w.Message != "" {
		all = append(all, w.Reason+": "+w.Message)
	}
	for _, t := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
		if t == nil || t.ExitCode == 0 {
			continue
		}
		text := fmt.Sprintf("exit code %d (%s)", t.ExitCode, cmp.Or(t.Reason, "no reason given"))
		if words := strings.TrimSpace(t.Message); words != "" {
			text += ", end of its log: " + words
		}
		all = append(all, text)
	}
	return all
}

// troubles are those of the pods, the latest first, as one text.
func troubles(all []corev1.Pod) string {
	var texts []string
	for _, p := range slices.Backward(all) {
		if text := trouble(p); text != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
}
