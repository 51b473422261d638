package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/coordinator/plan"
	"github.com/ratchet-rl/ratchet/evaluator/evaluate"
	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/pocket"
	"github.com/ratchet-rl/ratchet/rank-worker/rank"
	"github.com/ratchet-rl/ratchet/rollout-worker/rollout"
	"github.com/ratchet-rl/ratchet/trainer-bridge/bridge"
)

// roles are what a cluster runs as pods; here they run side by side, each with an Env of its own.
var roles = []struct {
	name string
	run  func(context.Context, *app.Env) error
}{
	{bus.RoleCoordinator, plan.Run},
	{bus.RoleRollout, rollout.Run},
	{bus.RoleRank, rank.Run},
	{bus.RoleBridge, bridge.Run},
	{bus.RoleEvaluator, evaluate.Run},
}

// stack is everything in one process:
//
//	            +- coordinator -+
//	            +- rollout -----+            pocket (OpenAI-compatible HTTP)
//	nats-server +- rank --------+ <--------> or the endpoints that the run names
//	            +- bridge ------+
//	            +- evaluator ---+
//
// Started from the outside in and stopped from the inside out: work first, then the roles, the servers last.
type stack struct {
	config config.Config
	logs   io.Writer
	note   func(format string, args ...any)
	// base is told how the training of pocket's bases goes on.
	base func(base string, done, total int, loss float64)
}

// run brings everything up, does the work with the configuration as it came out (addresses of port 0 are known
// by then), and takes everything down again. The first to fail ends all.
func (s *stack) run(ctx context.Context, work func(context.Context, config.Config) error) error {
	release, err := lock(s.config.Up.Directory)
	if err != nil {
		return err
	}
	defer release()
	s.config.Bus.StoreDirectory = filepath.Join(s.config.Up.Directory, "bus")
	users := usersOf(s.config.Up.Directory)
	if _, err := bus.WriteUsers(users, s.config); err != nil {
		return err
	}
	s.config.Bus.NKeyFile, s.config.Bus.CredsFile = bus.SeedFile(users, "{role}"), ""
	nats, err := devstack.StartGuarded(s.config.Bus.StoreDirectory, s.config.Up.Bus, filepath.Join(users, bus.UsersFile))
	if err != nil {
		return &failure{code: exitFailed, err: err}
	}
	defer nats.Stop()
	s.config.Bus.URL = nats.URL()

	// The servers outlive ctx: roles still need them while they drain.
	servers, stopServers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServers()
	serving, servers := errgroup.WithContext(servers)
	serving.Go(func() error { return nats.Watch(servers) })
	if err := s.startPocket(servers, serving); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { s.note("draining; what was begun can be resumed. Again stops now") })()
	working, stopWork := context.WithCancelCause(ctx)
	defer stopWork(nil)
	defer context.AfterFunc(servers, func() { stopWork(context.Cause(servers)) })()
	err = s.roles(working, work)
	stopServers()
	return errors.Join(err, serving.Wait())
}

// startPocket serves the embedded policy until ctx ends.
func (s *stack) startPocket(ctx context.Context, group *errgroup.Group) error {
	if s.config.Up.Pocket == pocketOff {
		return nil
	}
	listener, err := listenPocket(ctx, s.config.Up.Pocket)
	if err != nil {
		return err
	}
	s.config.Up.Pocket = listener.Addr().String()
	server := pocket.NewServer(pocket.ServerOptions{Seed: s.config.Up.PocketSeed, Progress: s.base})
	group.Go(func() error { return servePocket(ctx, listener, server) })
	return nil
}

// pocketOff is the address that means: no embedded policy.
const pocketOff = "off"

// roles runs the roles and, beside them, the work; when the work is done the roles drain.
func (s *stack) roles(ctx context.Context, work func(context.Context, config.Config) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var opened []*app.Env
	defer func() {
		for _, env := range opened {
			env.Close()
		}
	}()
	for _, role := range roles {
		env, err := app.Open(ctx, role.name, s.config, s.logs)
		if err != nil {
			return fmt.Errorf("open %s: %w", role.name, err)
		}
		opened = append(opened, env)
	}
	running, drain := context.WithCancel(ctx)
	for i, role := range roles {
		group.Go(func() error {
			err := role.run(running, opened[i])
			if err == nil || running.Err() != nil && errors.Is(err, context.Canceled) {
				return nil // asked to stop, perhaps before it had begun
			}
			return fmt.Errorf("%s: %w", role.name, err)
		})
	}
	group.Go(func() error {
		defer drain()
		return work(ctx, s.config)
	})
	if addr := s.config.HTTP.Listen; addr != "" {
		group.Go(func() error { return serveMetrics(running, addr, opened) })
	}
	return group.Wait()
}

// usersOf is where an embedded installation keeps its users' keys.
func usersOf(dir string) string { return filepath.Join(dir, "users") }

// lock keeps a second `ratchet up` off the directory. The kernel releases it, however this process ends.
func lock(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make up.directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock up.directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, refused("stop the other one, or give this one a directory and addresses of its own: --set up.directory=DIR --set up.bus=127.0.0.1:5222 --set up.pocket=127.0.0.1:5223",
			"another `ratchet up` uses %s", dir)
	}
	return func() { _ = file.Close() }, nil
}
