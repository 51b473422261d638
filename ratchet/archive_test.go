package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/runstate"
)

func TestKeepARun(t *testing.T) {
	t.Parallel()
	i, elsewhere, dir := newInstallation(t), newInstallation(t), t.TempDir()
	i.ratchet("init", dir).wants(t, exitOK, "run.yaml")
	i.submit(filepath.Join(dir, "run.yaml"), "--name", "first").wants(t, exitOK, "run       first")
	i.ratchet("prune", "first", "--yes").wants(t, exitRefused, "ratchet cancel first")
	i.ratchet("pause", "first").wants(t, exitOK, "first pauses")
	i.await("first", func(s runstate.State) bool { return s.Paused })

	file := filepath.Join(dir, "first.ratchet")
	i.ratchet("export", "frist", "-f", file).wants(t, exitNotFound, `no run "frist"`)
	i.ratchet("export", "first", "-f", file).wants(t, exitOK, "4 blobs")
	i.ratchet("export", "first", "-f", file).wants(t, exitRefused, "is there already")
	i.ratchet("import", file, "--dry-run").wants(t, exitOK, "commands")
	i.ratchet("import", file, "--max-bytes", "100").wants(t, exitFailed, "unpacks to more than 100 bytes")
	i.ratchet("import", filepath.Join(dir, "run.yaml")).wants(t, exitUsage, "no sound archive")
	elsewhere.ratchet("import", file).wants(t, exitRefused, "not confirmed")
	for elsewhere.ratchet("kind", "add", "any").code == exitUnreachable { // until the topology is there
	}
	elsewhere.ratchet("import", file, "--yes").wants(t, exitOK, "run first")
	elsewhere.ratchet("import", file, "--yes").wants(t, exitOK, "is there already, with the very same content")
	elsewhere.ratchet("status", "first").wants(t, exitOK, "paused")

	i.ratchet("cancel", "first", "--yes").wants(t, exitOK, "first ends")
	i.await("first", func(s runstate.State) bool { return s.Finished })
	i.ratchet("prune").wants(t, exitUsage, "nothing selected")
	i.ratchet("prune", "--older-than", "1h").wants(t, exitOK, "nothing to remove")
	i.ratchet("prune", "--older-than", "1ns", "--dry-run").wants(t, exitOK, "first")
	i.ratchet("prune", "first").wants(t, exitRefused, "not confirmed")
	i.ratchet("prune", "first", "--yes", "--blobs").wants(t, exitOK, "removed first")
	i.ratchet("prune", "first", "--yes").wants(t, exitNotFound, "there are no runs")
	i.ratchet("prune", "--blobs", "--grace", "1m").wants(t, exitUsage, "is too short")
	i.ratchet("submit", filepath.Join(dir, "run.yaml"), "--name", "first", "--run-seed", "99").wants(t, exitRefused, "choose another name")
	if leftovers, err := filepath.Glob(filepath.Join(dir, ".export-*")); err != nil || len(leftovers) > 0 {
		t.Errorf("left behind: %v, %v", leftovers, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: questions and answers are in it", info.Mode(), err)
	}
}
