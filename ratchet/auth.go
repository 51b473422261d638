package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type authCommand struct {
	Init   authInitCommand   `cmd:"" help:"Make a key for each role, and nats-server's configuration of who may do what."`
	Update authUpdateCommand `cmd:"" help:"Write the permissions anew, with the keys that are there: after an upgrade, or for new plug-ins."`
}

type authInitCommand struct {
	Dir   string `arg:"" type:"path" help:"Directory for the keys and users.conf; made if it is not there."`
	Force bool   `help:"Replace the keys that are there: whoever holds an old one is locked out once nats-server has reloaded."`
}

func (authInitCommand) Help() string {
	return `For a nats-server of your own; ` + "`ratchet up`" + ` does this by itself. Plug-ins that bus.kinds, bus.rankers and bus.judges name
get keys of their own. docs/permissions.md says what each role may do.

    ratchet auth init auth
    ratchet auth init auth --set bus.kinds=shout,translate`
}

func (c *authInitCommand) Run(in *invocation) error {
	cfg, _, err := in.config()
	if err != nil {
		return err
	}
	there, err := filepath.Glob(bus.SeedFile(c.Dir, "*"))
	if err != nil {
		return usage(fmt.Errorf("look into %s: %w", c.Dir, err), "name another directory")
	}
	if len(there) > 0 && !c.Force {
		return refused("`ratchet auth update "+c.Dir+"` keeps them and renews the permissions; --force replaces them", "%s holds %d keys", c.Dir, len(there))
	}
	for _, file := range there {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replace key: %w", err)
		}
	}
	if err := writeUsers(in, c.Dir, cfg); err != nil {
		return err
	}
	in.note("next: 1. put %s beside nats-server's configuration, with the line: include \"%s\"", filepath.Join(c.Dir, bus.UsersFile), bus.UsersFile)
	in.note("      2. give each role its own file, and set bus.nkey_file: %s (or the file itself)", bus.SeedFile(c.Dir, "{role}"))
	in.note("      3. `ratchet status --set bus.nkey_file=%s` tells whether it works", bus.SeedFile(c.Dir, bus.RoleOperator))
	return nil
}

type authUpdateCommand struct {
	Dir string `arg:"" type:"existingdir" help:"Directory of auth init."`
}

func (c *authUpdateCommand) Run(in *invocation) error {
	cfg, _, err := in.config()
	if err != nil {
		return err
	}
	if err := writeUsers(in, c.Dir, cfg); err != nil {
		return err
	}
	in.note("next: put %s where nats-server reads it, and reload that: nats-server --signal reload", filepath.Join(c.Dir, bus.UsersFile))
	return nil
}

// writtenUser is a role as `ratchet auth` prints it.
type writtenUser struct {
	Role string `json:"role"`
	// Account is the NATS account that its user is in.
	Account string `json:"account"`
	Key     string `json:"key"`
}

func writeUsers(in *invocation, dir string, cfg config.Config) error {
	roles, err := bus.WriteUsers(dir, cfg)
	if err != nil {
		return err
	}
	t := view.Table{Head: []string{"role", "account", "key"}}
	var users []writtenUser
	var names []string
	for _, r := range roles {
		u := writtenUser{Role: r.Name, Account: r.Account(), Key: bus.SeedFile(dir, r.Name)}
		users, names = append(users, u), append(names, u.Key)
		t.Add(u.Role, u.Account, view.Safe(u.Key))
	}
	return in.print(users, names, t.Print)
}
