package worker

import (
	"context"
	"fmt"
	"os"

	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/internal/config"
)

// Main is the whole main function of a worker of one kind: flags, configuration, connection, signals.
func Main(kind string, handle Handler) {
	app.Main(kind, func(ctx context.Context, env *app.Env) error {
		return Serve(ctx, env.Bus, Kind{Name: kind, Handle: handle})
	})
}

// MainRanker is the whole main function of a ranker. It works for the runs whose `rankers` name it.
func MainRanker(name string, rank Rank) {
	app.Main(name, func(ctx context.Context, env *app.Env) error {
		r := ranker{name: name, conn: env.Bus, rank: rank, spec: env.Spec}
		return Follow(ctx, env.Bus, Feed{Ranker: name}, r.handle)
	})
}

// Connect opens a connection as Main does, for a program with a main function of its own: the settings come from the
// file that RATCHET_CONFIG names and from variables such as RATCHET_BUS_URL. Close it when all work is done.
func Connect(ctx context.Context, name string) (*Conn, error) {
	cfg, _, err := config.Load(os.Getenv("RATCHET_CONFIG"), os.Environ(), nil)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of %s: %w", name, err)
	}
	env, err := app.Open(ctx, name, cfg, os.Stderr)
	if err != nil {
		return nil, err
	}
	return env.Bus, nil
}
