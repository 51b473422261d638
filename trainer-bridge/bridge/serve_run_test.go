package bridge

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// TestRunServes: a deploy task on the bus leads to a server that the orderly end of the bridge ends too.
func TestRunServes(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), &site{TB: t, directory: t.TempDir()}
	s.loaded()
	b.run.Deploy = serverOrder(s.directory, nil).deploy
	env := openRole(t, b)
	b.bus, b.blobs = env.Bus, env.Blobs
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, env) }()

	c := b.putCheckpoint(1)
	b.order("deploy-own", deployTask(c))
	d := b.await("deployment").GetDeployment()
	if names, err := (lister{}).Models(t.Context(), d.GetPolicy().GetEndpoint()); err != nil || len(names) != 1 || names[0] != d.GetPolicy().GetModel() {
		t.Errorf("the policy's endpoint serves %q (%v), want %q", names, err, d.GetPolicy().GetModel())
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
	folders, err := filepath.Glob(filepath.Join(env.Config.Bridge.Directory, "servers", "own-*"))
	if err != nil || len(folders) != 1 || !folder(folders[0]).releasedWithin(0) {
		t.Errorf("folders %v (%v), want one, whose server has gone with the bridge", folders, err)
	}
}

// TestNeverReadyIsADeadLetter: the operator reads why, with the last words of the server.
func TestNeverReadyIsADeadLetter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run.Deploy = config.Deploy{
		Deployer: config.DeployerCommand, Timeout: config.Duration(300 * time.Millisecond),
		Command: []string{"/bin/sh", "-c", "echo no such tokenizer >&2; while :; do sleep 60; done", "{path}", "{port}"},
	}
	env := openRole(t, b)
	b.bus, b.blobs = env.Bus, env.Blobs
	running(t, env)
	b.order("deploy-own", deployTask(b.putCheckpoint(1)))

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var letter *pb.DeadLetter
	err := b.bus.Follow(ctx, bus.Dead, bus.FollowOptions{}, func(m *bus.Message) error {
		event, err := m.Event(ctx)
		letter = event.GetDeadLetter()
		cancel()
		return err
	})
	for _, want := range []string{"not ready within deploy.timeout (300ms)", "no such tokenizer"} {
		if !strings.Contains(letter.GetError(), want) {
			t.Errorf("dead letter %v (%v), want it to say %q", letter, err, want)
		}
	}
}
