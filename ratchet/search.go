package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/search"
	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type searchCommand struct {
	Query   string            `arg:"" help:"What to look for."`
	RunFile string            `name:"run" placeholder:"FILE" type:"existingfile" predictor:"file" help:"The run file whose section search to use."`
	Tool    map[string]string `placeholder:"KEY=VALUE" mapsep:"none" help:"A setting of the section search, such as kind=retrieve; repeatable."`
	Results int               `short:"k" help:"How many results; the run's if not given."`
}

func (searchCommand) Help() string {
	return `Asks a search tool the way a rollout worker does, and prints what the agent would be shown. The backend itself is
asked, never the cache, and nothing is kept, unless search.cache is replay: then the cache alone is.

    ratchet search "who wrote Silver Harbor" --run run.yaml
    ratchet search "capital of France" --tool kind=retrieve --tool url=http://127.0.0.1:8000/retrieve
    ratchet search "capital of France" --tool corpus=corpus.jsonl -k 5 -o json

Keys, time limit and the folder of indexes are the configuration's: --set search.key_file=FILE.`
}

func (c *searchCommand) Run(ctx context.Context, in *invocation) error {
	cfg, _, err := in.config()
	if err != nil {
		return err
	}
	tool, dir, err := c.tool()
	if err != nil {
		return err
	}
	if cfg.Search.Cache != config.CacheReplay {
		cfg.Search.Cache = config.CacheOff
	}
	begin := time.Now()
	s, err := search.Open(ctx, cfg.Search, tool, search.Getter(loader{dir: dir, blob: cfg.Blob}.opener()))
	if errors.Is(err, fs.ErrNotExist) {
		return &failure{code: exitNotFound, err: err, fix: "paths in a run file are relative to it, those of --tool to here"}
	}
	if err != nil {
		return err
	}
	defer s.Close()
	opened := time.Now()
	results, err := s.Search(ctx, c.Query, tool.Results)
	took := time.Since(opened)
	if errors.As(err, new(*search.Error)) {
		return &failure{code: exitUnreachable, err: err}
	}
	if err != nil {
		return err
	}
	names := make([]string, len(results))
	for i, r := range results {
		names[i] = r.GetTitle()
	}
	value := map[string]any{
		"kind": tool.Kind, "query": c.Query, "open_ms": opened.Sub(begin).Milliseconds(), "took_ms": took.Milliseconds(),
		"results": history.JSON(results...),
	}
	return in.print(value, names, func(p view.Paint) string {
		return view.Results(results, opened.Sub(begin), took, width(in.out), p)
	})
}

// tool is what to ask, and the folder that its relative paths begin at.
func (c *searchCommand) tool() (tool config.SearchTool, dir string, err error) {
	tool = config.DefaultRun().Search
	switch {
	case c.RunFile != "":
		run, err := config.LoadRun(c.RunFile)
		if err != nil {
			return tool, "", err
		}
		tool, dir = run.Search, filepath.Dir(c.RunFile)
	case len(c.Tool) == 0:
		return tool, "", usage(errors.New("no search tool"), "name a run file with --run run.yaml, or a tool with --tool kind=... --tool url=...")
	}
	if corpus := c.Tool["corpus"]; corpus != "" { // one on the command line begins where the command was given
		dir = ""
	}
	if tool, err = config.ParseSearchTool(tool, c.Tool); err != nil {
		return tool, "", err
	}
	if c.Results > 0 {
		tool.Results = c.Results
	}
	tool.URI = tool.Corpus
	return tool, dir, nil
}
