package kube

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// trainJob is a Job as a TrainJob of Kubeflow Trainer 2.3, trainer.kubeflow.org/v1alpha1: the runtime has the pods and
// their ways to find each other, this has what runs in them. The fields are those of the published API that are used.
type trainJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              trainJobSpec `json:"spec"`
}

type trainJobSpec struct {
	RuntimeRef     runtimeRef     `json:"runtimeRef"`
	Trainer        trainer        `json:"trainer"`
	RuntimePatches []runtimePatch `json:"runtimePatches"`
	ActiveDeadline int64          `json:"activeDeadlineSeconds,omitempty"`
}

type runtimeRef struct {
	Name string `json:"name"`
}

type trainer struct {
	Image            string                      `json:"image"`
	Command          []string                    `json:"command"`
	Env              []corev1.EnvVar             `json:"env"`
	NumNodes         int32                       `json:"numNodes"`
	ResourcesPerNode corev1.ResourceRequirements `json:"resourcesPerNode"`
}

type runtimePatch struct {
	Manager             string `json:"manager"`
	TrainingRuntimeSpec struct {
		Template struct {
			Spec struct {
				ReplicatedJobs []replicatedJobPatch `json:"replicatedJobs"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"trainingRuntimeSpec"`
}

type replicatedJobPatch struct {
	Name     string `json:"name"`
	Template struct {
		Spec struct {
			Template podPatch `json:"template"`
		} `json:"spec"`
	} `json:"template"`
}

type podPatch struct {
	Metadata labelsPatch  `json:"metadata"`
	Spec     podSpecPatch `json:"spec"`
}

type labelsPatch struct {
	Labels map[string]string `json:"labels"`
}

type podSpecPatch struct {
	Volumes         []corev1.Volume            `json:"volumes"`
	Containers      []containerPatch           `json:"containers"`
	SecurityContext *corev1.PodSecurityContext `json:"securityContext"`
	NodeSelector    map[string]string          `json:"nodeSelector,omitempty"`
	Tolerations     []corev1.Toleration        `json:"tolerations,omitempty"`
}

type containerPatch struct {
	Name            string                  `json:"name"`
	VolumeMounts    []corev1.VolumeMount    `json:"volumeMounts"`
	SecurityContext *corev1.SecurityContext `json:"securityContext"`
}

// node is the name of the training job, and of its container, in Kubeflow's runtimes.
const node = "node"

func newTrainJob(meta metav1.ObjectMeta, name string, p config.Pod, timeout time.Duration, template corev1.PodTemplateSpec) *trainJob {
	pod, container := template.Spec, template.Spec.Containers[0]
	job := replicatedJobPatch{Name: node}
	job.Template.Spec.Template = podPatch{
		Metadata: labelsPatch{meta.Labels},
		Spec: podSpecPatch{
			Volumes: pod.Volumes, SecurityContext: pod.SecurityContext, NodeSelector: pod.NodeSelector, Tolerations: pod.Tolerations,
			Containers: []containerPatch{{Name: node, VolumeMounts: container.VolumeMounts, SecurityContext: container.SecurityContext}},
		},
	}
	patch := runtimePatch{Manager: name}
	patch.TrainingRuntimeSpec.Template.Spec.ReplicatedJobs = []replicatedJobPatch{job}
	return &trainJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: trainJobs.GroupVersion().String(), Kind: "TrainJob"},
		ObjectMeta: meta,
		Spec: trainJobSpec{
			RuntimeRef: runtimeRef{p.Runtime},
			Trainer: trainer{
				Image: container.Image, Command: container.Command, Env: container.Env, ResourcesPerNode: container.Resources,
				NumNodes: int32(max(1, p.Replicas)),
			},
			RuntimePatches: []runtimePatch{patch},
			ActiveDeadline: seconds(timeout),
		},
	}
}
