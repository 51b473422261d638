package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// requestTimeout bounds one request to the API server, logs apart.
const requestTimeout = 30 * time.Second

// Labels of everything made here.
const (
	labelManager = "app.kubernetes.io/managed-by"
	labelVolume  = "ratchet-volume" // two bridges in one namespace have two volumes
	labelHash    = "ratchet-hash"
	labelName    = "ratchet-name" // of the job or server a pod is of

	manager = "ratchet-trainer-bridge"
)

var (
	jobs        = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	trainJobs   = schema.GroupVersionResource{Group: "trainer.kubeflow.org", Version: "v1alpha1", Resource: "trainjobs"}
	pods        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
)

// ErrForeign means that an object of our name is not ours.
var ErrForeign = errors.New("is there and was made by somebody else, or for something else: delete or rename it")

// logReader opens the log of a pod, from a time on, and follows it.
type logReader func(ctx context.Context, pod string, since time.Time) (io.ReadCloser, error)

// Cluster is one namespace of a cluster.
type Cluster struct {
	objects   dynamic.Interface
	logs      logReader
	namespace string
	claim     string // of the volume
	directory string // where it is mounted
	every     time.Duration
	log       *slog.Logger
}

// Open says how to reach the cluster; it does not reach for it yet. directory is on the volume c.Claim.
func Open(c config.Kubernetes, directory string, log *slog.Logger) (*Cluster, error) {
	reach, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("bridge.kubernetes: neither a ServiceAccount nor a kubeconfig: %w", err)
	}
	return open(reach, c, directory, log)
}

func open(reach *rest.Config, c config.Kubernetes, directory string, log *slog.Logger) (*Cluster, error) {
	client, err := rest.HTTPClientFor(reach)
	if err != nil {
		return nil, fmt.Errorf("bridge.kubernetes: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(reach, client)
	if err != nil {
		return nil, fmt.Errorf("bridge.kubernetes: %w", err)
	}
	const lookEvery = 2 * time.Second
	return &Cluster{
		objects: objects, logs: podLogs(client, reach.Host, c.Namespace), namespace: c.Namespace, claim: c.Claim,
		directory: directory, every: lookEvery, log: log,
	}, nil
}

// podLogs reads logs over plain HTTP: the typed client is fifty packages for this one request.
func podLogs(client *http.Client, host, namespace string) logReader {
	if !strings.Contains(host, "://") {
		host = "https://" + host
	}
	return func(ctx context.Context, pod string, since time.Time) (io.ReadCloser, error) {
		query := url.Values{"follow": {"true"}}
		if !since.IsZero() {
			query.Set("sinceTime", since.UTC().Format(time.RFC3339))
		}
		address := fmt.Sprintf("%s/api/v1/namespaces/%s/pods/%s/log?%s", strings.TrimSuffix(host, "/"), namespace, pod, query.Encode())
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // for the message only
			_ = response.Body.Close()
			return nil, fmt.Errorf("log of pod %s: %s: %s", pod, response.Status, text)
		}
		return response.Body, nil
	}
}

// get reads an object into a typed one; nil if there is none.
func get[T any](ctx context.Context, c *Cluster, kind schema.GroupVersionResource, name string) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := c.objects.Resource(kind).Namespace(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.failed("read", kind, name, err)
	}
	into := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, into); err != nil {
		return nil, c.failed("read", kind, name, err)
	}
	return into, nil
}

// list reads the objects of our own that have a label.
func list[T any](ctx context.Context, c *Cluster, kind schema.GroupVersionResource, selector string) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := c.objects.Resource(kind).Namespace(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, c.failed("list", kind, selector, err)
	}
	all := make([]T, len(found.Items))
	for i, item := range found.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &all[i]); err != nil {
			return nil, c.failed("read", kind, item.GetName(), err)
		}
	}
	return all, nil
}

// ensure makes an object, unless one of its name and hash is there.
func (c *Cluster) ensure(ctx context.Context, kind schema.GroupVersionResource, object any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return fmt.Errorf("encode %s: %w", kind.Resource, err)
	}
	delete(fields, "status")
	wanted := &unstructured.Unstructured{Object: fields}
	// Strict: an older cluster that drops a field it does not know, the volume say, would start something else.
	options := metav1.CreateOptions{FieldManager: manager, FieldValidation: metav1.FieldValidationStrict}
	_, err = c.objects.Resource(kind).Namespace(c.namespace).Create(ctx, wanted, options)
	if !apierrors.IsAlreadyExists(err) {
		return c.failed("make", kind, wanted.GetName(), err)
	}
	found, err := c.objects.Resource(kind).Namespace(c.namespace).Get(ctx, wanted.GetName(), metav1.GetOptions{})
	if err != nil {
		return c.failed("read", kind, wanted.GetName(), err)
	}
	return c.mine(kind, found.GetName(), found.GetLabels()[labelHash], wanted.GetLabels()[labelHash])
}

func (c *Cluster) mine(kind schema.GroupVersionResource, name, got, want string) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s %s/%s %w", kind.Resource, c.namespace, name, ErrForeign)
}

// remove deletes an object with what it owns, and says whether it is gone already.
func (c *Cluster) remove(ctx context.Context, kind schema.GroupVersionResource, name string) (gone bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	foreground := metav1.DeletePropagationForeground
	err = c.objects.Resource(kind).Namespace(c.namespace).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &foreground})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, c.failed("delete", kind, name, err)
}

// failed names what an error is of, and what would help.
func (c *Cluster) failed(what string, kind schema.GroupVersionResource, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s %s %s: %w (the bridge's Role is in k8s/components/cluster)", what, kind.Resource, name, err)
	case apierrors.IsNotFound(err) && kind == trainJobs:
		return fmt.Errorf("%s %s %s: %w (is Kubeflow Trainer installed?)", what, kind.Resource, name, err)
	}
	return fmt.Errorf("%s %s %s/%s: %w", what, kind.Resource, c.namespace, name, err)
}

// IsAway tells that the API server did not answer, or not now: asking again may help.
func IsAway(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsServerTimeout(err) ||
			apierrors.IsTimeout(err) || apierrors.IsInternalError(err) || apierrors.IsConflict(err)
	}
	var network *url.Error
	return errors.As(err, &network)
}

// labels are those of an object, and of the pods that come of it.
func (c *Cluster) labels(name, hash string) map[string]string {
	return map[string]string{labelManager: manager, labelVolume: c.claim, labelName: name, labelHash: hash}
}

// podsOf lists the pods of a job or server, the latest last.
func (c *Cluster) podsOf(ctx context.Context, selector string) ([]corev1.Pod, error) {
	all, err := list[corev1.Pod](ctx, c, pods, selector)
	if err != nil {
		return nil, err
	}
	sortByAge(all)
	return all, nil
}
