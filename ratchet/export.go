package main

import (
	"context"
	"fmt"
	"io"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type exportCommand struct {
	Name string `arg:"" name:"run" predictor:"run" help:"The run."`
	File string `short:"f" required:"" predictor:"file" placeholder:"FILE" help:"The file to write; one that is there is left alone."`
}

func (exportCommand) Help() string {
	return `Messages of every stream, records, and the blobs that they point at, in one file: a tar, compressed with zstd. The same
run gives the same bytes. A run that goes on is exported as it is at this moment, and goes on; pause it first if it
is to go on elsewhere.

    ratchet export demo-7f3a -f demo-7f3a.ratchet
    ratchet pause demo-7f3a && ratchet export demo-7f3a -f demo-7f3a.ratchet`
}

func (c *exportCommand) Run(ctx context.Context, in *invocation) error {
	s, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	state, err := s.state(ctx, c.Name)
	if err != nil {
		return err
	}
	installation, err := s.installation()
	if err != nil {
		return err
	}
	var manifest archive.Manifest
	err = writeWhole(c.File, func(w io.Writer) error {
		manifest, err = installation.Export(ctx, c.Name, w)
		return err
	})
	if err != nil {
		return err
	}
	if !state.Finished && !state.Paused {
		in.note("%s goes on here; what it does from now on is not in %s", c.Name, c.File)
	}
	return in.print(manifest, []string{c.File}, func(view.Paint) string {
		return fmt.Sprintf("%s  run %s  %s\n", c.File, manifest.Run, contents(manifest))
	})
}

// installation is where runs are exported from and imported to.
func (s *session) installation() (archive.Installation, error) {
	blobs, err := s.store()
	return archive.Installation{Bus: s.bus, Blobs: blobs}, err
}

// contents says how much an archive holds.
func contents(m archive.Manifest) string {
	var messages int64
	for _, n := range m.Messages {
		messages += n
	}
	return fmt.Sprintf("%d messages, %d blobs, %s unpacked, sha256 %s", messages, m.Blobs, view.Bytes(m.Bytes), m.SHA256)
}
