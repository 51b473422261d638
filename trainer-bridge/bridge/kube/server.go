package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// Port is where a server's pods and its Service listen.
const Port = 8000

// Server is a model server: a Deployment and a Service of one name.
type Server struct {
	Name    string // a DNS label
	Hash    string // of all that makes it what it is; a label's value
	Command []string
	Args    []string
	Pod     config.Pod
	Ready   string        // the path that answers 200 when a pod is ready
	Within  time.Duration // a pod may take to start
}

// Serve makes the server, unless it is there, and says under which address its Service is reached in the cluster.
// trouble is what keeps its pods from running, as far as they have said.
func (c *Cluster) Serve(ctx context.Context, s Server) (address, trouble string, err error) {
	labels := c.labels(s.Name, s.Hash)
	template, err := c.serving(labels, s)
	if err != nil {
		return "", "", err
	}
	meta := metav1.ObjectMeta{Name: s.Name, Namespace: c.namespace, Labels: labels}
	pick := map[string]string{labelName: s.Name}
	if err := c.ensure(ctx, services, &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: meta,
		Spec: corev1.ServiceSpec{Selector: pick, Ports: []corev1.ServicePort{{Name: "http", Port: Port, TargetPort: intstr.FromInt32(Port)}}},
	}); err != nil {
		return "", "", err
	}
	if err := c.ensure(ctx, deployments, &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(max(1, s.Pod.Replicas))), Selector: &metav1.LabelSelector{MatchLabels: pick}, Template: template,
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}, // two at once want twice the GPUs
		},
	}); err != nil {
		return "", "", err
	}
	all, err := c.podsOf(ctx, labelName+"="+s.Name)
	if err != nil {
		return "", "", err
	}
	return fmt.Sprintf("http://%s.%s.svc:%d/v1", s.Name, c.namespace, Port), c.unready(ctx, s, all), nil
}

// unready says why not all pods of a server are ready; empty if they are.
func (c *Cluster) unready(ctx context.Context, s Server, all []corev1.Pod) string {
	ready := 0
	for _, p := range all {
		for _, condition := range p.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				ready++
			}
		}
	}
	want := max(1, s.Pod.Replicas)
	if ready >= want {
		return "" // whatever befell them before
	}
	if why := troubles(all); why != "" {
		return why
	}
	why := fmt.Sprintf("%d of %d pods are ready", ready, want)
	if len(all) == 0 { // a quota, a webhook: the Deployment knows
		why = strings.Join(append([]string{"no pod"}, c.refusals(ctx, s.Name)...), "; ")
	}
	return why
}

// refusals are what keeps a Deployment from making pods.
func (c *Cluster) refusals(ctx context.Context, name string) []string {
	d, err := get[appsv1.Deployment](ctx, c, deployments, name)
	if err != nil || d == nil {
		return nil
	}
	var all []string
	for _, condition := range d.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			all = append(all, condition.Reason+": "+condition.Message)
		}
	}
	return all
}

// serving is the pod of a server. It is restarted when it has answered and answers no more.
func (c *Cluster) serving(labels map[string]string, s Server) (corev1.PodTemplateSpec, error) {
	const every = 5
	look := corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: s.Ready, Port: intstr.FromInt32(Port)}}
	template, err := c.template(labels, s.Pod, corev1.Container{
		Name: "server", Command: s.Command, Args: s.Args,
		Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: Port}},
		StartupProbe:   &corev1.Probe{ProbeHandler: look, PeriodSeconds: every, FailureThreshold: int32(max(1, seconds(s.Within)/every)), TimeoutSeconds: every},
		ReadinessProbe: &corev1.Probe{ProbeHandler: look, PeriodSeconds: every, TimeoutSeconds: every},
		LivenessProbe:  &corev1.Probe{ProbeHandler: look, PeriodSeconds: 4 * every, TimeoutSeconds: 4 * every},
	})
	if err != nil {
		return template, err
	}
	mounts := template.Spec.Containers[0].VolumeMounts
	mounts[0].ReadOnly = true // it reads checkpoints and writes none
	return template, nil
}

// Servers lists those that were made, by name.
func (c *Cluster) Servers(ctx context.Context) ([]string, error) {
	seen := map[string]bool{}
	// A Service without a Deployment is what a crash has left, and is listed too.
	for _, kind := range []schema.GroupVersionResource{services, deployments} {
		all, err := list[metav1.PartialObjectMetadata](ctx, c, kind, c.ours())
		if err != nil {
			return nil, err
		}
		for _, one := range all {
			seen[one.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// ours picks what this bridge has made.
func (c *Cluster) ours() string {
	return labelManager + "=" + manager + "," + labelVolume + "=" + c.claim
}

// Retire deletes a server.
func (c *Cluster) Retire(ctx context.Context, name string) error {
	if _, err := c.remove(ctx, deployments, name); err != nil {
		return err
	}
	_, err := c.remove(ctx, services, name)
	return err
}
