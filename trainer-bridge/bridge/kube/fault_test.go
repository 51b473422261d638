package kube

import (
	"errors"
	"net/url"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestFaultsOfMaking: each object's creation is refused, or done and its reply lost. The caller is told that the cluster
// is away, asks again, and there is one of each.
func TestFaultsOfMaking(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"jobs", "services", "deployments"} {
		for _, lost := range []bool{false, true} {
			name := kind + " refused"
			if lost {
				name = kind + " made, its reply lost"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := newFake()
				broken := breakOnce(r.fake.(*fake.FakeDynamicClient), kind, lost)
				c, j, s := r.cluster(t, "ratchet", ""), exampleJob(), exampleServer("own-1")
				both := func() error {
					_, _, err := c.Serve(t.Context(), s)
					return errors.Join(err, c.make(t.Context(), j))
				}
				if err := both(); !IsAway(err) || !broken.Load() {
					t.Errorf("error %v, want to be told that the cluster is away", err)
				}
				for range 2 {
					if err := both(); err != nil {
						t.Error(err)
					}
				}
				for _, action := range r.fake.(*fake.FakeDynamicClient).Actions() {
					if action.GetVerb() == "delete" {
						t.Errorf("%v was deleted", action)
					}
				}
				if found, err := list[conditioned](t.Context(), c, jobs, c.ours()); err != nil || len(found) != 1 {
					t.Errorf("%d jobs (%v), want one", len(found), err)
				}
				names, err := c.Servers(t.Context())
				if err != nil || len(names) != 1 {
					t.Errorf("servers %q (%v), want one", names, err)
				}
			})
		}
	}
}

// breakOnce breaks the first creation of a kind, before or after it is done.
func breakOnce(client *fake.FakeDynamicClient, kind string, after bool) *atomic.Bool {
	broken := &atomic.Bool{}
	client.PrependReactor("create", kind, func(action clienttesting.Action) (bool, runtime.Object, error) {
		if broken.Swap(true) {
			return false, nil, nil
		}
		if after {
			create := action.(clienttesting.CreateAction)
			object := create.GetObject().(*unstructured.Unstructured).DeepCopy()
			if err := client.Tracker().Create(create.GetResource(), object, create.GetNamespace()); err != nil {
				return true, nil, err
			}
		}
		return true, nil, &url.Error{Op: "Post", URL: "https://cluster", Err: errors.New("connection reset by peer")}
	})
	return broken
}
