package main

import (
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type configCommand struct {
	Show configShowCommand `cmd:"" default:"1" help:"Print every setting, its value and where that comes from."`
}

type configShowCommand struct{}

func (configShowCommand) Help() string {
	return `Secrets are never printed: settings hold only the paths of their files. ` + "`ratchet init`" + ` writes a file with
every setting and its meaning.

    ratchet config show
    ratchet config show --config prod.yaml -o json
    RATCHET_BUS_URL=nats://bus:4222 ratchet config show`
}

func (*configShowCommand) Run(in *invocation) error {
	cfg, sources, err := in.config()
	if err != nil {
		return err
	}
	settings := cfg.Settings(sources)
	t := view.Table{Head: []string{"setting", "value", "from"}}
	var names []string
	for _, s := range settings {
		t.Add(s.Key, view.Safe(s.Value), view.Safe(s.Source))
		names = append(names, s.Key)
	}
	return in.print(settings, names, t.Print)
}
