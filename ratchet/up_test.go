package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

func mustMarshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The whole system, without anything to do, comes up and goes down again.
func TestStackStartsAndStops(t *testing.T) {
	t.Parallel()
	cfg, sources, err := config.Load("", nil, map[string]string{
		"up.directory": t.TempDir(), "up.bus": "127.0.0.1:0", "up.pocket": "off", "http.listen": "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err = embedded(cfg, sources)
	if err != nil {
		t.Fatal(err)
	}
	system := &stack{config: cfg, logs: t.Output(), note: t.Logf}
	served := false
	err = system.run(t.Context(), func(ctx context.Context, cfg config.Config) error {
		s, err := open(ctx, cfg, time.Minute)
		if err != nil {
			return err
		}
		defer s.close()
		served = true

		second := &stack{config: cfg, logs: t.Output(), note: t.Logf}
		if err := second.run(ctx, nil); codeOf(err) != exitRefused || !strings.Contains(err.Error(), "another `ratchet up` uses "+cfg.Up.Directory) {
			t.Errorf("a second one on the same directory: %v", err)
		}
		third := &stack{config: cfg, logs: t.Output(), note: t.Logf}
		third.config.Up.Directory = t.TempDir()
		third.config.Up.Bus = strings.TrimPrefix(cfg.Bus.URL, "nats://")
		if err := third.run(ctx, nil); err == nil || !strings.Contains(err.Error(), "is taken") {
			t.Errorf("a second one on the same port: %v", err)
		}
		return nil
	})
	if err != nil || !served {
		t.Errorf("served %t, %v", served, err)
	}
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	cfg, sources, err := config.Load("", nil, map[string]string{"up.directory": "d", "blob.url": "s3://b/p", "bus.ack_wait": "9s"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := embedded(cfg, sources)
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"what is set stays":  {got.Blob.URL, "s3://b/p"},
		"ack wait is set":    {got.Bus.AckWait, 9 * time.Second},
		"lease is short":     {got.Bus.LeaseTTL, upLeaseTTL},
		"search":             {got.Search.Directory, filepath.Join(here, "d", "search")},
		"training":           {got.Bridge.Directory, filepath.Join(here, "d", "training")},
		"bus":                {got.Bus.URL, "nats://" + cfg.Up.Bus},
		"health and metrics": {got.HTTP.Listen, upListen},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
}

// The demo's name, and so all of its sampling, does not depend on where pocket happens to listen.
func TestDemoRun(t *testing.T) {
	t.Parallel()
	c := demoCommand{Generations: 2, Ranker: "perplexity", Seed: 11}
	names := map[string]bool{}
	for _, addr := range []string{"127.0.0.1:1", "127.0.0.1:2"} {
		run, err := c.run(config.Config{Up: config.Up{Pocket: addr}})
		if err != nil {
			t.Fatal(err)
		}
		names[run.Name] = true
		if run.Policy.Endpoint != "http://"+addr+"/v1" || run.Strategy.Ranker != "perplexity" || run.Targets[1].Base != "small@11" {
			t.Errorf("got %+v", run)
		}
	}
	if len(names) != 1 {
		t.Errorf("names %v", names)
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	var m meter
	begin := time.Unix(0, 0)
	state := func(calls, completed int64, phase string) runstate.State {
		return runstate.State{Phase: phase, Usage: runstate.Usage{Calls: calls}, Progress: []runstate.Progress{{Phase: phase, Completed: completed, Expected: 100}}}
	}
	m.add(begin, state(0, 0, "grow"))
	if calls, items := m.rates(); calls != 0 || items != 0 {
		t.Errorf("of one sample: %g, %g", calls, items)
	}
	m.add(begin.Add(2*time.Second), state(100, 10, "grow"))
	if calls, items := m.rates(); calls != 50 || items != 5 {
		t.Errorf("got %g, %g", calls, items)
	}
	m.add(begin.Add(4*time.Second), state(200, 1, "rank"))
	if calls, items := m.rates(); calls != 50 || items != 0 {
		t.Errorf("over a change of phase: %g, %g", calls, items)
	}
	m.add(begin.Add(time.Minute), state(200, 1, "rank"))
	if len(m.samples) > 2 {
		t.Errorf("%d samples are kept", len(m.samples))
	}
}
