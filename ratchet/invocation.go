package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/term"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/telemetry"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

// globals are the flags of every command.
type globals struct {
	ConfigFile string            `name:"config" env:"RATCHET_CONFIG" placeholder:"FILE" help:"Configuration file. Defaults to ratchet.yaml if there is one."`
	Set        map[string]string `placeholder:"KEY=VALUE" mapsep:"none" help:"Override one setting, such as bus.url=nats://host:4222; repeatable."`
	Output     string            `short:"o" enum:"table,wide,json,yaml,name" default:"table" help:"Form of the result: ${enum}."`
	Progress   string            `env:"RATCHET_PROGRESS" enum:"auto,plain,json,quiet" default:"auto" help:"Form of progress, on standard error: ${enum}."`
	Color      string            `enum:"auto,always,never" default:"auto" help:"Colour: ${enum}; NO_COLOR is heeded."`
	NoInput    bool              `help:"Never ask; what would be asked is refused."`
	Yes        bool              `short:"y" help:"Answer yes to what would be asked."`
	Wait       time.Duration     `default:"5s" help:"How long to wait for the bus."`
}

// invocation is one call of a command: its global flags and its streams.
type invocation struct {
	globals
	streams
	// screen is where progress, notes and logs meet on standard error.
	screen *view.Screen
}

// defaultConfig is the configuration file that is read if none is named.
const defaultConfig = "ratchet.yaml"

// config reads the configuration.
func (in *invocation) config() (config.Config, config.Sources, error) {
	file := in.ConfigFile
	if file == "" {
		if _, err := os.Stat(defaultConfig); err == nil {
			file = defaultConfig
		}
	}
	cfg, sources, err := config.Load(file, os.Environ(), in.Set)
	if errors.Is(err, os.ErrNotExist) {
		return cfg, sources, &failure{code: exitNotFound, err: err, fix: "name another file with --config, or write one with `ratchet init`"}
	}
	return cfg, sources, err
}

// session is a connection to a running installation. close ends it.
type session struct {
	config config.Config
	bus    *bus.Conn
	// store opens the blob store at its first use: most commands only read streams, and should neither make a
	// directory nor fail because the store is down.
	store func() (blob.Store, error)
}

// connect opens a session with the configured installation.
func (in *invocation) connect(ctx context.Context) (*session, error) {
	return in.connectAs(ctx, bus.RoleOperator)
}

func (in *invocation) connectAs(ctx context.Context, role string) (*session, error) {
	cfg, _, err := in.config()
	if err != nil {
		return nil, err
	}
	return openAs(ctx, role, keyed(cfg, role), in.Wait)
}

// keyed adds the role's key to the configuration of a running `ratchet up` in up.directory, if nobody has set one.
func keyed(cfg config.Config, role string) config.Config {
	if cfg.Bus.NKeyFile != "" || cfg.Bus.CredsFile != "" || cfg.Bus.URL != "nats://"+cfg.Up.Bus {
		return cfg
	}
	if key := bus.SeedFile(usersOf(cfg.Up.Directory), role); isFile(key) {
		cfg.Bus.NKeyFile = key
	}
	return cfg
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func open(ctx context.Context, cfg config.Config, wait time.Duration) (*session, error) {
	return openAs(ctx, bus.RoleOperator, cfg, wait)
}

func openAs(ctx context.Context, role string, cfg config.Config, wait time.Duration) (*session, error) {
	store := sync.OnceValues(func() (blob.Store, error) {
		blobs, err := blob.Open(ctx, cfg.Blob)
		if err != nil {
			return nil, &failure{code: exitUnreachable, err: fmt.Errorf("open the blob store %s: %w", cfg.Blob.URL, err), fix: "check blob.url and blob.endpoint (`ratchet config show`)"}
		}
		return blobs, nil
	})
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	conn, err := bus.Connect(waiting, cfg.Bus, bus.Options{Role: role, Blobs: lazyBlobs{store}})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && !errors.Is(err, context.DeadlineExceeded): // it is there
		return nil, &failure{code: exitUnreachable, err: err, fix: fmt.Sprintf("name the key of role %s with --set bus.nkey_file=FILE; `ratchet up` keeps it in up.directory/users, and `ratchet auth update` makes those that an upgrade brings", role)}
	case err != nil:
		return nil, &failure{
			code: exitUnreachable, err: fmt.Errorf("no bus at %s (waited %s)", cfg.Bus.URL, wait),
			fix: "start one with `ratchet up`, or name another with --set bus.url=nats://host:4222",
		}
	}
	return &session{config: cfg, bus: conn, store: store}, nil
}

func (s *session) close() { s.bus.Close() }

// lazyBlobs is a blob store for events that were too large for the bus.
type lazyBlobs struct{ store func() (blob.Store, error) }

func (l lazyBlobs) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) (bool, error) {
	blobs, err := l.store()
	if err != nil {
		return false, err
	}
	return blobs.PutIfAbsent(ctx, key, body, size)
}

func (l lazyBlobs) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	blobs, err := l.store()
	if err != nil {
		return nil, err
	}
	return blobs.Get(ctx, key)
}

func (l lazyBlobs) URI(key string) string {
	blobs, err := l.store()
	if err != nil { // PutIfAbsent comes first and has said so
		return ""
	}
	return blobs.URI(key)
}

func (l lazyBlobs) Key(uri string) (string, error) {
	blobs, err := l.store()
	if err != nil {
		return "", err
	}
	return blobs.Key(uri)
}

// paint colours what goes to w.
func (g globals) paint(w io.Writer) view.Paint {
	switch {
	case g.Color == "always":
		return view.Paint{On: true}
	case g.Color == "never", os.Getenv("NO_COLOR") != "", os.Getenv("TERM") == "dumb":
		return view.Paint{}
	}
	return view.Paint{On: isTerminal(w)}
}

// widthOtherwise is assumed where nobody knows the terminal's width.
const widthOtherwise = 80

// width of the terminal that w is.
func width(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(file.Fd()); err == nil && columns > 0 {
			return columns
		}
	}
	return widthOtherwise
}

func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(file.Fd())
}

// print prints a result in the form that was asked for: value as JSON or YAML, names a line each, else table.
func (in *invocation) print(value any, names []string, table func(p view.Paint) string) error {
	text, err := in.render(value, names, table)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(in.out, text); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

func (in *invocation) render(value any, names []string, table func(p view.Paint) string) (string, error) {
	switch in.Output {
	case "json", "yaml":
		text, err := json.MarshalIndent(value, "", "  ")
		var b bytes.Buffer
		if err == nil {
			_, err = telemetry.JSONWriter(&b).Write(text)
		}
		text = b.Bytes()
		if err == nil && in.Output == "yaml" {
			text, err = toYAML(text)
		}
		if err != nil {
			return "", fmt.Errorf("print the result as %s: %w", in.Output, err)
		}
		return strings.TrimRight(string(text), "\n") + "\n", nil
	case "name":
		var b strings.Builder
		for _, name := range names {
			b.WriteString(view.Safe(name) + "\n")
		}
		return b.String(), nil
	}
	return table(in.paint(in.out)), nil
}

// wide says whether everything is asked for.
func (in *invocation) wide() bool { return in.Output == "wide" }

// note prints a line for the operator, on standard error.
func (in *invocation) note(format string, args ...any) {
	in.show(view.Lines(fmt.Sprintf(format, args...), longLine)...)
}

// show prints lines of a view, colours and all, where note prints.
func (in *invocation) show(lines ...string) {
	if in.Progress != "quiet" {
		_ = in.screen.Print(lines...) // standard error has gone: nobody is left to be told
	}
}

// confirm asks before something that cannot be undone. question says what and how much.
func (in *invocation) confirm(question string) error {
	if in.Yes {
		return nil
	}
	if in.NoInput || !isTerminal(in.in) {
		return refused("add --yes", "%s: not confirmed", question)
	}
	fmt.Fprintf(in.err, "%s? [y/N] ", view.Safe(question))
	var answer string
	if _, err := fmt.Fscanln(in.in, &answer); err != nil || !strings.HasPrefix(strings.ToLower(answer), "y") {
		return refused("", "%s: not confirmed", question)
	}
	return nil
}
