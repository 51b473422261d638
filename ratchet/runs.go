package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// names lists the runs there are.
func (s *session) names(ctx context.Context) ([]string, error) {
	keys, err := s.bus.KV(runstate.Bucket).Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var names []string
	for _, key := range keys {
		if run, ok := runstate.RunOf(key); ok {
			names = append(names, run)
		}
	}
	slices.Sort(names)
	return names, nil
}

// state reads a run's record. An unknown run is not found, with the names there are.
func (s *session) state(ctx context.Context, run string) (runstate.State, error) {
	value, _, err := s.bus.KV(runstate.Bucket).Get(ctx, runstate.Key(run))
	if errors.Is(err, bus.ErrNotFound) {
		return runstate.State{}, s.unknownRun(ctx, run)
	}
	if err != nil {
		return runstate.State{}, fmt.Errorf("read state of run %s: %w", run, err)
	}
	return runstate.Unmarshal(value)
}

func (s *session) unknownRun(ctx context.Context, run string) error {
	names, err := s.names(ctx)
	if err != nil || len(names) == 0 {
		return notFound("`ratchet submit run.yaml` makes one", "no run %q; there are no runs", run)
	}
	const few = 8
	more := ""
	if len(names) > few {
		more = fmt.Sprintf(" and %d more", len(names)-few)
	}
	return notFound("`ratchet status -o name` lists them", "no run %q; there are %v%s", run, names[:min(few, len(names))], more)
}

// spec reads a run as it was submitted.
func (s *session) spec(ctx context.Context, run string) (config.Run, error) {
	var spec config.Run
	value, _, err := s.bus.KV(runstate.Bucket).Get(ctx, runstate.SpecKey(run))
	if errors.Is(err, bus.ErrNotFound) {
		return spec, s.unknownRun(ctx, run)
	}
	if err != nil {
		return spec, fmt.Errorf("read spec of run %s: %w", run, err)
	}
	if err := json.Unmarshal(value, &spec); err != nil {
		return spec, fmt.Errorf("decode spec of run %s (KV %s, key %s): %w", run, runstate.Bucket, runstate.SpecKey(run), err)
	}
	return spec, nil
}

// ask sends the coordinator a request as JSON and reads its answer.
func (s *session) ask(ctx context.Context, endpoint string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	answer, err := s.bus.Request(ctx, endpoint, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode the coordinator's answer: %w", err)
	}
	return nil
}
