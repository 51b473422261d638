package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/search"
	"github.com/ratchet-rl/ratchet/internal/sizing"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type doctorCommand struct {
	File    string        `arg:"" optional:"" type:"existingfile" predictor:"file" help:"A run file, whose endpoints, search tool and size are checked too."`
	Timeout time.Duration `default:"2m" help:"How long all checks together may take."`
}

func (doctorCommand) Help() string {
	return `Checks configuration, bus, blob store and disk; with a run file also its search tool and what its endpoints can:
each is asked with a dozen calls of a few tokens. What is missing comes with what it costs and what to do. Exits with 1
if a check failed; a warning does not.

    ratchet doctor
    ratchet doctor run.yaml
    ratchet doctor run.yaml -o json`
}

// States of a check.
const (
	checkOK      = "ok"
	checkWarning = "warning"
	checkFailed  = "failed"
)

// check is one thing that was looked at.
type check struct {
	Name  string `json:"check"`
	State string `json:"state"`
	// Found is what is there, Cost what it costs, Fix what to do.
	Found string `json:"found"`
	Cost  string `json:"cost,omitempty"`
	Fix   string `json:"fix,omitempty"`
}

// doctor collects checks.
type doctor struct {
	in     *invocation
	config config.Config
	run    *config.Run
	dir    string // of the run file
	checks []check
}

func (d *doctor) ok(name, format string, args ...any) {
	d.checks = append(d.checks, check{Name: name, State: checkOK, Found: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(name, found, cost, fix string) {
	d.checks = append(d.checks, check{Name: name, State: checkWarning, Found: found, Cost: cost, Fix: fix})
}

// fail takes an error apart into what is wrong and what to do.
func (d *doctor) fail(name string, err error, fix string) {
	var f *failure
	if errors.As(err, &f) {
		err, fix = f.err, f.fix
	}
	d.checks = append(d.checks, check{Name: name, State: checkFailed, Found: err.Error(), Fix: fix})
}

func (c *doctorCommand) Run(ctx context.Context, in *invocation) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	d := &doctor{in: in, dir: filepath.Dir(c.File)}
	d.settings(c.File)
	if d.config.Bus.URL != "" {
		d.installation(ctx)
	}
	if d.run != nil {
		d.search(ctx)
		d.endpoints(ctx)
	}
	return d.print()
}

func (d *doctor) print() error {
	failed := false
	var names []string
	for _, c := range d.checks {
		failed = failed || c.State == checkFailed
		if c.State != checkOK {
			names = append(names, c.Name)
		}
	}
	err := d.in.print(d.checks, names, d.table)
	if err == nil && failed {
		return silent(exitFailed)
	}
	return err
}

// table is a line for each check, and below it what a lack costs and what to do.
func (d *doctor) table(p view.Paint) string {
	t := view.Table{Head: []string{"check", "state", "found"}}
	for _, c := range d.checks {
		t.Add(view.Safe(c.Name), p.State(c.State), view.Safe(c.Found))
	}
	lines := strings.SplitAfter(t.Print(p), "\n")
	var b strings.Builder
	for i, line := range lines {
		b.WriteString(line)
		if i == 0 || i > len(d.checks) {
			continue
		}
		if c := d.checks[i-1]; c.Cost != "" {
			fmt.Fprintf(&b, "    costs: %s\n", view.Safe(c.Cost))
		}
		if c := d.checks[i-1]; c.Fix != "" {
			fmt.Fprintf(&b, "    to do: %s\n", view.Safe(c.Fix))
		}
	}
	return b.String()
}

// settings reads both files.
func (d *doctor) settings(file string) {
	cfg, sources, err := d.in.config()
	if err != nil {
		d.fail("config", err, "`ratchet config show` says where each setting comes from")
		return
	}
	d.config = cfg
	changed := 0
	for _, s := range cfg.Settings(sources) {
		if s.Source != "default" {
			changed++
		}
	}
	d.ok("config", "%d settings differ from the defaults", changed)
	if file == "" {
		return
	}
	run, err := config.LoadRun(file)
	if err != nil {
		d.fail("run file", err, "correct it; `ratchet init` writes a commented one")
		return
	}
	d.run = &run
	d.ok("run file", "%s", file)
}

// installation looks at the bus, what is on it, and the blob store.
func (d *doctor) installation(ctx context.Context) {
	begin := time.Now()
	s, err := openAs(ctx, bus.RoleOperator, keyed(d.config, bus.RoleOperator), d.in.Wait)
	if err != nil {
		d.fail("bus", err, "start it")
		return
	}
	defer s.close()
	d.ok("bus", "%s answers, %s", s.config.Bus.URL, time.Since(begin).Round(time.Millisecond))
	if _, err := s.bus.Request(ctx, "kind", []byte(`{"name":""}`)); errors.Is(err, bus.ErrNobody) {
		d.warn("coordinator", "nobody answers", "runs are not conducted, and cannot be submitted", "start `ratchet up`, or a coordinator")
	} else {
		d.ok("coordinator", "answers")
	}
	d.disk(ctx, s)
	d.blobs(ctx, s)
}

// disk compares what a run needs with what the bus has left.
func (d *doctor) disk(ctx context.Context, s *session) {
	room, err := sizing.Look(ctx, s.bus, s.config.Bus.StoreDirectory)
	if err != nil {
		d.warn("disk", err.Error(), "nobody knows whether a run fits", "start a coordinator once: it makes the streams")
		return
	}
	free := "the server does not say how much is free"
	if least := room.Account; least >= 0 {
		free = sizing.Bytes(least) + " free in the account"
	}
	if room.Disk >= 0 {
		free += ", " + sizing.Bytes(room.Disk) + " on its disk"
	}
	if d.run == nil {
		d.ok("disk", "%s", free)
		return
	}
	run := *d.run
	if err := (loader{dir: d.dir, blob: d.config.Blob, note: func(string, ...any) {}}).load(ctx, &run); err != nil {
		d.fail("questions", err, "paths are relative to the run file")
		return
	}
	d.ok("questions", "%d to grow on, %d to evaluate", run.Questions.Count, run.Evaluation.Set.Count)
	needs := sizing.Of(run, room.Streams)
	if lack := room.Lack(needs); lack != "" {
		d.fail("disk", errors.New(lack), "take fewer questions, samples or repetitions, or give the bus more room")
		return
	}
	d.ok("disk", "the run needs about %s; %s", sizing.Bytes(sizing.Total(needs)), free)
}

// blobs writes and reads a small object, always the same, and removes it.
func (d *doctor) blobs(ctx context.Context, s *session) {
	begin := time.Now()
	err := func() error {
		store, err := s.store()
		if err != nil {
			return err
		}
		ref, err := blob.PutContent(ctx, store, "doctor", "txt", []byte("ratchet doctor wrote this\n"))
		if err != nil {
			return err
		}
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte("ratchet doctor wrote this\n")))
		if _, err := blob.Verified(ctx, store, ref.Key, sum); err != nil {
			return err
		}
		return store.Delete(ctx, ref.Key)
	}()
	if err != nil {
		d.fail("blob store", err, "check blob.url, blob.endpoint and the keys (`ratchet config show`)")
		return
	}
	d.ok("blob store", "%s writes, reads and deletes, %s", d.config.Blob.URL, time.Since(begin).Round(time.Millisecond))
}

// search asks the run's tool; of an index that is yet to be built, whether its corpus can be read.
func (d *doctor) search(ctx context.Context) {
	tool := d.run.Search
	if tool.Kind == config.SearchBM25 {
		body, err := (loader{dir: d.dir, blob: d.config.Blob}).opener()(ctx, tool.Corpus)
		if err != nil {
			d.fail("search", err, "correct search.corpus; paths are relative to the run file")
			return
		}
		defer body.Close()
		var first json.RawMessage
		if err := json.NewDecoder(body).Decode(&first); err != nil {
			d.fail("search", fmt.Errorf("the corpus %s is no JSON lines: %w", tool.Corpus, err), "a line is {id, title, contents}")
			return
		}
		d.ok("search", "the corpus %s can be read; a worker indexes it at its first use", tool.Corpus)
		return
	}
	begin := time.Now()
	results, err := func() (int, error) {
		searcher, err := search.Open(ctx, config.Search{Directory: d.config.Search.Directory, KeyFile: d.config.Search.KeyFile, Timeout: d.config.Search.Timeout, Cache: "off"}, tool, nil)
		if err != nil {
			return 0, err
		}
		found, err := searcher.Search(ctx, "capital of France", tool.Results)
		return len(found), err
	}()
	switch {
	case err != nil:
		d.fail("search", err, "start the search server, or correct search.url")
	case results == 0:
		d.warn("search", "no result for \"capital of France\"", "trajectories without evidence", "look whether the index is the right one")
	default:
		d.ok("search", "%s: %d results, %s", tool.URL, results, time.Since(begin).Round(time.Millisecond))
	}
}
