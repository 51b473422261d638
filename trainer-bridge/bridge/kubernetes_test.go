package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/trainer-bridge/bridge/kube"
)

// cloud stands in for kube.Cluster, which is tried against a real API server in its own tests.
type cloud struct {
	ran     []kube.Job
	outcome []error // of the next runs; nil after them
	served  []kube.Server
	address string
	trouble string
	refuses error
	retired []string
}

func (c *cloud) Run(_ context.Context, j kube.Job, heard func([]byte), waits func(string)) error {
	c.ran = append(c.ran, j)
	if len(c.outcome) >= len(c.ran) && c.outcome[len(c.ran)-1] != nil {
		return c.outcome[len(c.ran)-1]
	}
	heard([]byte(`{"done":1,"total":2,"loss":0.5}`))
	waits("pod x: Unschedulable: no GPU")
	return nil
}

func (c *cloud) Serve(_ context.Context, s kube.Server) (address, trouble string, err error) {
	c.served = append(c.served, s)
	return c.address, c.trouble, c.refuses
}

func (c *cloud) Servers(context.Context) ([]string, error) { return []string{"ratchet-own-1"}, nil }

func (c *cloud) Retire(_ context.Context, name string) error {
	c.retired = append(c.retired, name)
	return nil
}

func clusterJob() job {
	j := shellJob("")
	j.target.Driver = config.DriverKubernetes
	j.target.Command = []string{"train", "{manifest}", "{out}"}
	j.target.Kubernetes = &config.Pod{Image: "trainer:1", GPUs: 2}
	return j
}

// TestJobs: the pod is given the words that a command on this machine would be; what was done is not done again, also if
// the cluster has forgotten it.
func TestJobs(t *testing.T) {
	t.Parallel()
	c := &cloud{}
	d, j := jobs{cluster: c, directory: t.TempDir()}, clusterJob()
	var reports []progress
	for range 2 {
		out, err := d.Train(t.Context(), j, func(p progress) { reports = append(reports, p) })
		if want := filepath.Join(d.directory, j.name, "out"); err != nil || out != want {
			t.Fatalf("%q, %v, want %q", out, err, want)
		}
	}
	out := filepath.Join(d.directory, j.name, "out")
	if len(c.ran) != 1 || c.ran[0].Name != "train-"+j.name || !slices.Equal(c.ran[0].Argv, []string{"train", "manifest.json", out}) || c.ran[0].Timeout != time.Minute {
		t.Errorf("the cluster ran %+v, want the job once", c.ran)
	}
	want := []progress{{Done: 1, Total: 2, Loss: 0.5}, {Done: 1, Total: 2, Loss: 0.5, Message: "pod x: Unschedulable: no GPU"}}
	if !slices.Equal(reports, want) {
		t.Errorf("progress %v, want %v", reports, want)
	}
}

func TestJobsFail(t *testing.T) {
	t.Parallel()
	away := &url.Error{Op: "Get", URL: "https://cluster", Err: errors.New("connection refused")}
	tests := []struct {
		name      string
		outcome   []error
		runs      int
		want      string
		permanent bool
	}{
		{name: "failed for good", outcome: []error{fmt.Errorf("%w: BackoffLimitExceeded", kube.ErrFailed)}, runs: 1, want: "BackoffLimitExceeded", permanent: true},
		{name: "somebody else's", outcome: []error{fmt.Errorf("job x %w", kube.ErrForeign)}, runs: 1, want: "somebody else", permanent: true},
		{name: "forbidden", outcome: []error{errors.New("forbidden")}, runs: 1, want: "forbidden"},
		{name: "away, and back", outcome: []error{away, away}, runs: 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &cloud{outcome: test.outcome}
			var said []string
			_, err := jobs{cluster: c, directory: t.TempDir()}.Train(t.Context(), clusterJob(), func(p progress) { said = append(said, p.Message) })
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if err != nil && bus.IsPermanent(err) != test.permanent || len(c.ran) != test.runs {
				t.Errorf("error %v after %d runs, want %d, permanent: %v", err, len(c.ran), test.runs, test.permanent)
			}
			if test.runs > 1 && !strings.Contains(said[0], "the cluster does not answer") {
				t.Errorf("said %q, want that the cluster is away", said)
			}
		})
	}
}

func TestNoCluster(t *testing.T) {
	t.Parallel()
	_, errTrain := jobs{directory: t.TempDir()}.Train(t.Context(), clusterJob(), func(progress) {})
	_, errServe := (&pods{}).Ensure(t.Context(), order{})
	for _, err := range []error{errTrain, errServe} {
		if !bus.IsPermanent(err) || !strings.Contains(err.Error(), "bridge.kubernetes.namespace") {
			t.Errorf("error %v, want the setting named", err)
		}
	}
	if c, err := openCluster(config.Kubernetes{}, "", nil); c != nil || err != nil {
		t.Errorf("%v, %v, want no cluster", c, err)
	}
}

// TestPods: a checkpoint is served once the pods are ready and the endpoint lists it.
func TestPods(t *testing.T) {
	t.Parallel()
	server, s := newAdapterServer(t), shelf{blobs: openBlobs(t), directory: t.TempDir()}
	checkpoint := storedCheckpoint(t, s)
	c := &cloud{address: server.endpoint()}
	d := &pods{cluster: c, shelf: s, probe: probe{lister{}, http.DefaultClient}}
	o := order{generation: 1, checkpoint: checkpoint, deploy: config.Deploy{
		Deployer: config.DeployerKubernetes, Kubernetes: &config.Pod{Image: "vllm"}, Timeout: config.Duration(time.Minute),
	}}
	model := "own-" + checkpoint.GetId()
	for _, step := range []struct {
		trouble string
		refuses error
		names   []string
		want    string
	}{
		{trouble: "pod x: ImagePullBackOff", want: "ImagePullBackOff"},
		{refuses: &url.Error{Op: "Get", Err: errors.New("connection refused")}, want: "connection refused"},
		{names: []string{"base"}, want: `serves ["base"]`},
		{names: []string{model}},
	} {
		c.trouble, c.refuses, server.names = step.trouble, step.refuses, step.names
		got, err := d.Ensure(t.Context(), o)
		if step.want != "" && (!isNotYet(err) || !strings.Contains(err.Error(), step.want)) {
			t.Errorf("error %v, want a notYet with %q", err, step.want)
		}
		if step.want == "" && (err != nil || got != served{model: model, endpoint: server.endpoint()}) {
			t.Errorf("%+v, %v, want it served", got, err)
		}
	}
	folder := s.folder(checkpoint.GetId())
	if args := c.served[0].Args; !slices.Equal(args, []string{"--model", folder, "--served-model-name", model, "--host", "0.0.0.0", "--port", "8000"}) {
		t.Errorf("arguments %q, want vLLM's", args)
	}
	if _, err := os.Stat(folder); err != nil {
		t.Error(err)
	}
	o.deploy.Command = []string{"serve", "{path}", "--port={port}"}
	_, _ = d.Ensure(t.Context(), o)
	if last := c.served[len(c.served)-1]; !slices.Equal(last.Command, []string{"serve", folder, "--port=8000"}) || last.Args != nil || last.Name == c.served[0].Name {
		t.Errorf("server %+v, want the run's command, under another name", last)
	}
}

// TestAbandonedServerIsDeleted: what never got ready costs no GPUs while the run is paused.
func TestAbandonedServerIsDeleted(t *testing.T) {
	t.Parallel()
	b, c := newBench(t), &cloud{trouble: "pod x: CUDA out of memory"}
	b.run.Deploy = config.Deploy{Deployer: config.DeployerKubernetes, Kubernetes: &config.Pod{Image: "vllm"}, Timeout: 1}
	s := b.serving()
	d := &pods{cluster: c, shelf: b.shelf()}
	s.deployers[config.DeployerKubernetes] = d
	checkpoint := b.putCheckpoint(1)
	var err error
	for range 3 { // the clock of the first is at its beginning
		if err = s.handle(t.Context(), b.task(1, deployTask(checkpoint))); bus.IsPermanent(err) {
			break
		}
	}
	if !bus.IsPermanent(err) || !strings.Contains(err.Error(), "CUDA out of memory") {
		t.Errorf("error %v, want to be given up with the pod's words", err)
	}
	if want := d.Name(order{deploy: b.run.Deploy, generation: 1, checkpoint: checkpoint}); !slices.Equal(c.retired, []string{want}) {
		t.Errorf("retired %q, want %q", c.retired, want)
	}
}
