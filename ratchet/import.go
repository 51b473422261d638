package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type importCommand struct {
	File     string `arg:"" type:"existingfile" predictor:"file" help:"A file that ratchet export wrote."`
	MaxBytes int64  `default:"107374182400" help:"Refuse a file that unpacks to more."`
	DryRun   bool   `help:"Read and check all of it, and say what it holds."`
}

func (importCommand) Help() string {
	return `The file is read to its end and checked before anything is written. A run of the name that is there with other content is
refused; the very same changes nothing; an import that was cut goes on. An unfinished run goes on where it was: its
trainer's and server's commands are run here, so look at a stranger's file with --dry-run first.

    ratchet import demo-7f3a.ratchet --dry-run
    ratchet import demo-7f3a.ratchet`
}

func (c *importCommand) Run(ctx context.Context, in *invocation) error {
	file, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("open the archive: %w", err)
	}
	defer file.Close()
	limits := archive.Limits{Bytes: c.MaxBytes}
	held, err := archive.Verify(ctx, file, limits)
	if err != nil {
		return archiveError(c.File, err)
	}
	if c.DryRun {
		return c.print(in, held)
	}
	if !held.State.Finished {
		what := fmt.Sprintf("let run %s go on here, in %s of generation %d, with the commands %s",
			held.Run, held.State.Phase, held.State.Generation, strings.Join(held.Commands(), " "))
		if err := in.confirm(view.Safe(what)); err != nil {
			return err
		}
	}
	s, err := in.connectAs(ctx, bus.RoleKeeper)
	if err != nil {
		return err
	}
	defer s.close()
	installation, err := s.installation()
	if err != nil {
		return err
	}
	existing, err := installation.Import(ctx, file, held, limits)
	if err != nil {
		return archiveError(c.File, err)
	}
	if existing {
		in.note("%s is there already, with the very same content; nothing changed", held.Run)
	}
	return c.print(in, held)
}

func (c *importCommand) print(in *invocation, held archive.Contents) error {
	out := map[string]any{"manifest": held.Manifest, "state": held.State, "commands": held.Commands()}
	return in.print(out, []string{held.Run}, func(view.Paint) string {
		state := "finished"
		if !held.State.Finished {
			state = fmt.Sprintf("%s of generation %d, commands %s", held.State.Phase, held.State.Generation, strings.Join(held.Commands(), " "))
		}
		return view.Safe(fmt.Sprintf("run %s  %s  %s", held.Run, state, contents(held.Manifest))) + "\n"
	})
}

// archiveError says what to do.
func archiveError(file string, err error) error {
	switch {
	case errors.Is(err, archive.ErrDamaged):
		return usage(fmt.Errorf("%s: %w", file, err), "export the run again; a file that was cut or changed cannot be mended")
	case errors.Is(err, archive.ErrOther), errors.Is(err, runstate.ErrNameUsed):
		return refused("import it into another installation, or prune the run that is there", "%w", err)
	}
	return err
}
