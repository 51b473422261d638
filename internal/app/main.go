package app

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/telemetry"
)

// Main is a role's whole main function: flags, configuration, signals, Run, exit code.
func Main(role string, run func(context.Context, *Env) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	os.Exit(exitCode(role, Run(ctx, role, os.Args[1:], run)))
}

func exitCode(role string, err error) int {
	if err == nil || err == flag.ErrHelp { //nolint:errorlint // flag returns it bare
		return 0
	}
	fmt.Fprintf(os.Stderr, "error: %s: %s\n", role, telemetry.VisibleLines(err.Error()))
	return 1
}

// Run runs one role with the arguments of its command line until ctx ends or the role fails.
func Run(ctx context.Context, role string, args []string, run func(context.Context, *Env) error) error {
	cfg, err := configured(role, args)
	if err != nil {
		return err
	}
	env, err := Open(ctx, role, cfg, standardLog)
	if err != nil && ctx.Err() != nil {
		return nil // asked to stop while it waited for the bus
	}
	if err != nil {
		return err
	}
	defer env.Close()
	env.Log.Info("started", "bus", cfg.Bus.URL, "blob", cfg.Blob.URL)
	defer env.Log.Info("stopped")
	return Supervise(ctx, env, run)
}

// Supervise runs the role beside its health and metrics server; the first to fail ends the other.
func Supervise(ctx context.Context, env *Env, run func(context.Context, *Env) error) error {
	group, ctx := errgroup.WithContext(ctx)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	if addr := env.Config.HTTP.Listen; addr != "" {
		group.Go(func() error { return env.Metrics.Serve(serving, addr, env.Ready) })
	}
	group.Go(func() error {
		defer stopServing() // the role stops first, its server last
		return run(ctx, env)
	})
	return group.Wait()
}

// configured is the configuration of a role's command line: --config FILE and --set key=value.
func configured(role string, args []string) (config.Config, error) {
	flags := flag.NewFlagSet(role, flag.ContinueOnError)
	file := flags.String("config", os.Getenv("RATCHET_CONFIG"), "configuration `file` (YAML); see `ratchet config show`")
	overrides := settings{}
	flags.Var(overrides, "set", "one setting, `key=value`, e.g. bus.url=nats://host:4222; repeatable")
	flags.SetOutput(os.Stderr)
	if err := flags.Parse(args); err != nil {
		return config.Config{}, err
	}
	cfg, _, err := config.Load(*file, os.Environ(), overrides)
	return cfg, err
}

// settings collects --set key=value.
type settings map[string]string

func (s settings) String() string { return "" }

func (s settings) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%q: want key=value", text)
	}
	s[key] = value
	return nil
}
