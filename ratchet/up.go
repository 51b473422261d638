package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type upCommand struct {
	Submit    string `type:"existingfile" predictor:"file" placeholder:"FILE" help:"Submit this run file once everything is up."`
	UntilDone bool   `help:"With --submit: show progress, and stop once the run is finished."`
}

func (upCommand) Help() string {
	return `The same roles as in a cluster, over an embedded nats-server and a directory (up.directory). Stop it with Ctrl-C: the
roles drain, then the servers stop; a second Ctrl-C stops at once. Started again, it goes on where it was.

    ratchet up
    ratchet up --set up.directory=/data/ratchet --set up.bus=127.0.0.1:5222
    ratchet up --submit run.yaml --until-done`
}

func (c *upCommand) Run(ctx context.Context, in *invocation) error {
	cfg, sources, err := in.config()
	if err != nil {
		return err
	}
	if c.UntilDone && c.Submit == "" {
		return usage(errors.New("--until-done without --submit"), "name a run file with --submit")
	}
	var run config.Run
	if c.Submit != "" {
		if run, err = config.LoadRun(c.Submit); err != nil {
			return err
		}
	}
	cfg, err = embedded(cfg, sources)
	if err != nil {
		return err
	}
	if cfg.Log.Format == "" && isTerminal(in.err) {
		cfg.Log.Format = "text"
	}
	in.note("ratchet %s  bus %s  pocket %s  data %s", version, cfg.Bus.URL, cfg.Up.Pocket, cfg.Up.Directory)
	system := &stack{config: cfg, logs: in.screen, note: in.note, base: noteBase(in)}
	err = system.run(ctx, func(ctx context.Context, cfg config.Config) error {
		in.note("up at %s; Ctrl-C stops it. Submit a run with: ratchet submit run.yaml", cfg.Bus.URL)
		in.note("each role has a key of its own; look around with: nats --nkey %s stream report", bus.SeedFile(usersOf(cfg.Up.Directory), bus.RoleObserver))
		if c.Submit == "" {
			<-ctx.Done()
			return nil
		}
		return c.work(ctx, in, cfg, run)
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil && !c.UntilDone {
		return nil // asked to stop
	}
	return err
}

// work submits the run and, if it is asked to, waits for its end.
func (c *upCommand) work(ctx context.Context, in *invocation, cfg config.Config, run config.Run) error {
	s, err := open(ctx, cfg, in.Wait)
	if err != nil {
		return err
	}
	defer s.close()
	run, needs, err := s.submit(ctx, in, run, filepath.Dir(c.Submit), servedWithin, false)
	if err != nil {
		return err
	}
	in.show(strings.TrimSpace(view.Spec(run, needs, in.paint(in.err))))
	if c.UntilDone {
		return s.followToEnd(ctx, in, run.Name, false)
	}
	<-ctx.Done()
	return nil
}

// servedWithin bounds how long a coordinator that was just started may take to answer.
const servedWithin = 30 * time.Second

// Waiting times of an embedded installation: there is no network, so silence means a crash sooner.
const (
	upAckWait  = 5 * time.Second
	upLeaseTTL = 2 * time.Second
)

// embedded is the configuration of everything in one process: what nobody set points into up.directory and at
// the embedded servers.
func embedded(cfg config.Config, sources config.Sources) (config.Config, error) {
	dir, err := filepath.Abs(cfg.Up.Directory)
	if err != nil {
		return cfg, fmt.Errorf("find up.directory: %w", err)
	}
	cfg.Up.Directory = dir
	cfg.Bus.URL = "nats://" + cfg.Up.Bus
	unset := func(path string) bool { return sources[path] == config.SourceDefault }
	if unset("bus.ack_wait") {
		cfg.Bus.AckWait = upAckWait
	}
	if unset("bus.lease_ttl") {
		cfg.Bus.LeaseTTL = upLeaseTTL
	}
	if unset("blob.url") {
		cfg.Blob.URL = "file://" + filepath.Join(dir, "blobs")
	}
	if unset("search.directory") {
		cfg.Search.Directory = filepath.Join(dir, "search")
	}
	if unset("bridge.directory") {
		cfg.Bridge.Directory = filepath.Join(dir, "training")
	}
	if unset("http.listen") {
		cfg.HTTP.Listen = upListen
	}
	return cfg, nil
}

// upListen is where an embedded installation serves health and metrics.
const upListen = "127.0.0.1:7420"
