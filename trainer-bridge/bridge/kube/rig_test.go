package kube

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// rig is a real API server over a real etcd, without controllers and nodes: what these would say of a job, a test says in
// their place, through the status subresource. It is started once for the package.
type rig struct {
	admin *rest.Config
	fake  dynamic.Interface // in its place
	end   func()
	err   error
}

// each runs a test over client-go's own fake, which needs nothing, and over the real API server if there is one.
func each(t *testing.T, test func(t *testing.T, r *rig, namespace string)) {
	t.Helper()
	t.Parallel()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		test(t, newFake(), "ratchet")
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		r, namespace := newRig(t)
		test(t, r, namespace)
	})
}

// newFake is the fake, which is told the lists' kinds, and to give what is made an identity as a server does.
func newFake() *rig {
	kinds := map[schema.GroupVersionResource]string{
		jobs: "JobList", trainJobs: "TrainJobList", pods: "PodList", services: "ServiceList", deployments: "DeploymentList",
	}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)
	client.PrependReactor("create", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create := action.(clienttesting.CreateAction)
		object := create.GetObject().(*unstructured.Unstructured).DeepCopy()
		object.SetUID(types.UID(rand.Text()))
		err := client.Tracker().Create(create.GetResource(), object, create.GetNamespace())
		return true, object, err
	})
	return &rig{fake: client}
}

const (
	rigToken = "kube-test"
	rigUser  = "tester" // in system:masters
)

var theRig = sync.OnceValue(startRig)

func TestMain(m *testing.M) {
	code := m.Run()
	if rigStarted.Load() {
		theRig().end()
	}
	os.Exit(code)
}

var rigStarted atomic.Bool

// binaries is where etcd and kube-apiserver are: where envtest looks, or what a cluster rig has built.
func binaries() (string, error) {
	home, _ := os.UserHomeDir()
	var places []string
	for _, place := range []string{os.Getenv("KUBEBUILDER_ASSETS"), under(os.Getenv("KUBE_RIG_DIR"), "bin"), under(home, ".cache/kube-rig/bin")} {
		if place == "" {
			continue
		}
		places = append(places, place)
		_, errEtcd := os.Stat(filepath.Join(place, "etcd"))
		_, errServer := os.Stat(filepath.Join(place, "kube-apiserver"))
		if errEtcd == nil && errServer == nil {
			return place, nil
		}
	}
	return "", fmt.Errorf("no etcd and kube-apiserver in %q: set KUBEBUILDER_ASSETS to a folder with both (setup-envtest use -p path)", places)
}

func under(folder, name string) string {
	if folder == "" {
		return ""
	}
	return filepath.Join(folder, name)
}

// newRig is the rig and a namespace of the test's own in it.
func newRig(t *testing.T) (*rig, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an API server")
	}
	if _, err := binaries(); err != nil {
		t.Skip(err)
	}
	r := theRig()
	if r.err != nil {
		t.Fatal(r.err)
	}
	name := strings.ToLower(rand.Text()[:10])
	if name[0] <= '9' {
		name = "n" + name
	}
	r.create(t, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "", map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
	})
	return r, name
}

func (r *rig) client(t testing.TB) dynamic.Interface {
	t.Helper()
	if r.fake != nil {
		return r.fake
	}
	c, err := dynamic.NewForConfig(r.admin)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *rig) create(t testing.TB, kind schema.GroupVersionResource, namespace string, object map[string]any) *unstructured.Unstructured {
	t.Helper()
	made, err := r.client(t).Resource(kind).Namespace(namespace).Create(t.Context(), &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// cluster is a bridge's view of the namespace, as user; the rig's administrator if that is empty.
func (r *rig) cluster(t *testing.T, namespace, user string) *Cluster {
	t.Helper()
	const every = 20 * time.Millisecond
	if r.fake != nil {
		none := func(context.Context, string, time.Time) (io.ReadCloser, error) { return nil, errors.New("no kubelet") }
		return &Cluster{
			objects: r.fake, logs: none, namespace: namespace, claim: "checkpoints", directory: "/checkpoints", every: every, log: devstack.TestLog(t),
		}
	}
	reach := rest.CopyConfig(r.admin)
	reach.Impersonate.UserName = user
	c, err := open(reach, config.Kubernetes{Namespace: namespace, Claim: "checkpoints"}, "/checkpoints", devstack.TestLog(t))
	if err != nil {
		t.Fatal(err)
	}
	c.every = every
	return c
}

func startRig() *rig {
	rigStarted.Store(true)
	r := &rig{}
	var processes []*exec.Cmd
	folder, err := os.MkdirTemp("", "kube-rig-*")
	r.end = func() {
		for _, p := range processes {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		_ = os.RemoveAll(folder)
	}
	if err == nil {
		processes, err = r.start(folder)
	}
	if err != nil {
		r.end()
		r.end, r.err = func() {}, err
	}
	return r
}

func (r *rig) start(folder string) ([]*exec.Cmd, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	if err := writeRigFiles(folder); err != nil {
		return nil, err
	}
	store := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	peers := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	at := func(name string) string { return filepath.Join(folder, name) }
	etcd := exec.Command(filepath.Join(bin, "etcd"), "--data-dir", at("etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", store, "--advertise-client-urls", store, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
		"--initial-cluster", "default="+peers)
	server := exec.Command(filepath.Join(bin, "kube-apiserver"), "--etcd-servers", store, "--secure-port", fmt.Sprint(ports[2]),
		"--bind-address", "127.0.0.1", "--cert-dir", at("certificates"), "--authorization-mode", "RBAC", "--token-auth-file", at("tokens"),
		"--service-account-issuer", "https://kube-test", "--service-account-key-file", at("key"), "--service-account-signing-key-file", at("key"),
		"--service-cluster-ip-range", "10.0.0.0/24", "--disable-admission-plugins", "ServiceAccount")
	var said bytes.Buffer
	etcd.Stderr, server.Stderr = &said, &said
	var running []*exec.Cmd
	for _, p := range []*exec.Cmd{etcd, server} {
		if err := p.Start(); err != nil {
			return running, fmt.Errorf("start %s: %w", p.Path, err)
		}
		running = append(running, p)
	}
	r.admin = &rest.Config{
		Host: fmt.Sprintf("https://127.0.0.1:%d", ports[2]), BearerToken: rigToken, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, // its certificate is made on the spot
	}
	if err := awaitReady(r.admin); err != nil {
		for _, p := range running {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		return nil, fmt.Errorf("%w; they said: %s", err, said.String()[max(0, said.Len()-2000):])
	}
	return running, nil
}

func awaitReady(reach *rest.Config) error {
	client, err := rest.HTTPClientFor(reach)
	if err != nil {
		return err
	}
	last := errors.New("never asked")
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); <-time.After(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		last = ready(ctx, client, reach.Host)
		cancel()
		if last == nil {
			return nil
		}
	}
	return fmt.Errorf("the API server does not get ready: %w", last)
}

func ready(ctx context.Context, client *http.Client, host string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, host+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	return nil
}

// writeRigFiles writes the key that service accounts' tokens are signed with, and the administrator's token.
func writeRigFiles(folder string) error {
	const bits = 2048
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(filepath.Join(folder, "key"), block, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "tokens"), []byte(rigToken+","+rigUser+",1,system:masters\n"), 0o600)
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
