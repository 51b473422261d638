package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// Keys are made once, for their owner only; permissions are renewed with the keys that are there.
func TestAuth(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "auth")
	ratchet(t.Context(), "", "auth", "init", dir).wants(t, exitOK, bus.SeedFile(dir, bus.RoleRollout))
	seed := read(t, bus.SeedFile(dir, bus.RoleRollout))
	conf := read(t, filepath.Join(dir, bus.UsersFile))
	if strings.Contains(conf, strings.TrimSpace(seed)) {
		t.Error("the server's configuration holds a seed")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v (%v), want 0600", entry.Name(), info.Mode(), err)
		}
	}

	ratchet(t.Context(), "", "auth", "init", dir).wants(t, exitRefused, "holds 10 keys")
	ratchet(t.Context(), "", "auth", "update", dir, "--set", "bus.kinds=shout").wants(t, exitOK, bus.SeedFile(dir, "shout"))
	if again := read(t, bus.SeedFile(dir, bus.RoleRollout)); again != seed {
		t.Error("update has replaced a key")
	}
	ratchet(t.Context(), "", "auth", "update", dir, "--set", "bus.kinds=observer").wants(t, exitFailed, `bus.kinds: "observer" is the name of a role`)
	ratchet(t.Context(), "", "auth", "init", dir, "--force").wants(t, exitOK, "include")
	if again := read(t, bus.SeedFile(dir, bus.RoleRollout)); again == seed {
		t.Error("--force has kept a key")
	}
}

// A command says that its key is missing, or not the right one.
func TestKeysOfCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ratchet(t.Context(), "", "auth", "init", dir).wants(t, exitOK, "")
	server, err := devstack.StartGuarded(t.TempDir(), "127.0.0.1:0", filepath.Join(dir, bus.UsersFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	with := func(key string) []string {
		return []string{"dead", "list", "--set", "bus.url=" + server.URL(), "--set", "bus.nkey_file=" + key}
	}
	ratchet(t.Context(), "", with("")...).wants(t, exitUnreachable, "bus.nkey_file")
	ratchet(t.Context(), "", with(filepath.Join(dir, "none.nk"))...).wants(t, exitUnreachable, "none.nk")
	ratchet(t.Context(), "", with(bus.SeedFile(dir, bus.RoleRollout))...).wants(t, exitRefused, "not permitted")
	ratchet(t.Context(), "", with(bus.SeedFile(dir, "{role}"))...).wants(t, exitFailed, "stream not found")
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
