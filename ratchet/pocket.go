package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/pocket"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type pocketCommand struct {
	World      pocketWorldCommand      `cmd:"" help:"Write a world: what to search in, questions to grow on, questions to evaluate with."`
	Serve      pocketServeCommand      `cmd:"" help:"Serve the embedded policy and its judge as an OpenAI-compatible server."`
	Train      pocketTrainCommand      `cmd:"" help:"Fine-tune a base on a mixture; the trainer of the driver command."`
	Experiment pocketExperimentCommand `cmd:"" help:"Measure over several seeds what the loop gains, without bus and servers."`
}

func (pocketCommand) Help() string {
	return `pocket is a stand-in to run, learn and test Ratchet by where there is no GPU, key or network. It learns, but it is
no language model worth using.`
}

type pocketWorldCommand struct {
	Out  string `arg:"" type:"path" help:"Directory for corpus.jsonl, pool.jsonl and heldout.jsonl."`
	Seed int64  `default:"7" help:"Seed of the world."`
}

func (c *pocketWorldCommand) Run(in *invocation) error {
	if err := pocket.WriteWorld(c.Out, c.Seed); err != nil {
		return err
	}
	in.note("world %d is in %s", c.Seed, c.Out)
	return nil
}

type pocketServeCommand struct {
	Listen string `default:"127.0.0.1:7421" help:"Address."`
	Seed   int64  `default:"7" help:"Seed of the base models."`
	Cache  string `type:"path" help:"Directory of trained bases. Defaults to one in the user's cache."`
}

func (c *pocketServeCommand) Run(ctx context.Context, in *invocation) error {
	listener, err := listenPocket(ctx, c.Listen)
	if err != nil {
		return err
	}
	in.note("pocket at http://%s/v1", listener.Addr())
	server := pocket.NewServer(pocket.ServerOptions{Seed: c.Seed, Cache: c.Cache, Progress: noteBase(in)})
	return servePocket(ctx, listener, server)
}

func listenPocket(ctx context.Context, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &failure{code: exitFailed, err: fmt.Errorf("serve pocket at %s: %w", addr, err), fix: "stop what listens there, or choose another address (--listen, up.pocket)"}
	}
	return listener, nil
}

// shutdownTime bounds how long calls in flight may go on once the server stops.
const shutdownTime = 5 * time.Second

// servePocket serves until ctx ends. It answers from the start; the bases are prepared meanwhile.
func servePocket(ctx context.Context, listener net.Listener, server *pocket.Server) error {
	h := &http.Server{Handler: server, ReadHeaderTimeout: shutdownTime}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Prepare(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("prepare pocket's bases: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if h.Shutdown(last) != nil {
			return h.Close()
		}
		return nil
	})
	group.Go(func() error {
		if err := h.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve pocket: %w", err)
		}
		return nil
	})
	return group.Wait()
}

// noteBase tells of the training of the bases, which happens once and takes about a minute.
func noteBase(in *invocation) func(base string, done, total int, loss float64) {
	var told time.Time
	return func(base string, done, total int, loss float64) {
		const every = 5 * time.Second
		if total == 0 || done < total && time.Since(told) < every {
			return
		}
		told = time.Now()
		in.note("pocket's base %s: %d/%d steps, loss %.3f", base, done, total, loss)
	}
}

type pocketTrainCommand struct {
	Base     string `default:"own" help:"own or small, with a seed behind an @."`
	Seed     int64  `default:"1" help:"Seed of the order of the examples."`
	Manifest string `required:"" type:"path" help:"manifest.json of the mixture, its parts beside it."`
	Out      string `required:"" type:"path" help:"Directory for the checkpoint."`
	Cache    string `type:"path" help:"Directory of trained bases. Defaults to one in the user's cache."`
}

func (pocketTrainCommand) Help() string {
	return `Prints its progress as JSON lines, as the driver command wants them. In a run file:

    command: [ratchet, pocket, train, --base, "{base}", --seed, "{seed}", --manifest, "{manifest}", --out, "{out}"]`
}

func (c *pocketTrainCommand) Run(ctx context.Context, in *invocation) error {
	return pocket.Train(ctx, pocket.TrainOptions{
		Base: c.Base, Seed: c.Seed, Manifest: c.Manifest, Out: c.Out, Cache: c.Cache, Progress: jsonProgress(in.out),
	})
}

// jsonProgress prints progress the way a driver reads it.
func jsonProgress(w io.Writer) func(done, total int, loss float64) {
	lines := json.NewEncoder(w)
	return func(done, total int, loss float64) {
		const every = 20
		if done%every != 0 && done != total {
			return
		}
		_ = lines.Encode(struct { // a reader that has gone is no reason to stop training
			Done  int     `json:"done"`
			Total int     `json:"total"`
			Loss  float64 `json:"loss"`
		}{done, total, loss})
	}
}

type pocketExperimentCommand struct {
	Seeds       []int64 `help:"Seeds, each its own world and base. Defaults to 11-15."`
	Base        string  `default:"own" help:"own or small."`
	Repetitions int     `default:"3" help:"Of each evaluation."`
	Generations int     `default:"2" help:"To train."`
	Temperature float64 `default:"0.7" help:"While growing."`
	Cache       string  `type:"path" help:"Directory of trained bases. Defaults to one in the user's cache."`
}

func (c *pocketExperimentCommand) Run(ctx context.Context, in *invocation) error {
	begin := time.Now()
	o := pocket.ExperimentOptions{
		Seeds: c.Seeds, Base: c.Base, Repetitions: c.Repetitions, Generations: c.Generations, Temperature: c.Temperature, Cache: c.Cache,
		Progress: func(seed int64, stage string) {
			in.note("%8s  seed %d: %s", view.Took(time.Since(begin)), seed, view.Safe(stage))
		},
	}
	return pocket.Experiment(ctx, o, in.out)
}
