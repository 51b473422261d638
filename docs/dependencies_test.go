// Package docs holds what the documentation says of the code against the code.
package docs

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// phrases tell a licence by a sentence that its text alone has, the first that fits; spaces and case do not count.
var phrases = []struct{ licence, phrase string }{
	{"MPL-2.0", "mozilla public license version 2.0"}, // names the GPL, hence the first
	{"AGPL", "gnu affero general public license"},
	{"GPL", "gnu general public license"},
	{"LGPL", "gnu lesser general public license"},
	{"Apache-2.0", "apache license version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that"},
	{"BSD-3-Clause", "endorse or promote products derived from"},
	{"BSD-2-Clause", "redistribution and use in source and binary forms"},
}

// allowed are the licences under which a module may be linked into programs under Apache-2.0. MPL-2.0 binds the
// module's own files only, which nobody here changes.
var allowed = []string{"Apache-2.0", "MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "MPL-2.0"}

// Every module that a program or a test of ours is built from may be used as it is.
func TestLicences(t *testing.T) {
	t.Parallel()
	for module, dir := range linked(t) {
		if got := licence(t, dir); !slices.Contains(allowed, got) {
			t.Errorf("%s (%s): licence %q; allowed are %q. Leave the module out, or have its licence looked at", module, dir, got, allowed)
		}
	}
}

// docs/dependencies.md names each direct dependency in one row, with its licence, and nothing else.
func TestDependenciesPage(t *testing.T) {
	t.Parallel()
	page, dirs := rows(t), linked(t)
	for _, module := range direct(t) {
		named := slices.DeleteFunc(slices.Collect(maps.Keys(page)), func(name string) bool {
			return module != name && !strings.HasSuffix(module, "/"+name)
		})
		if len(named) != 1 {
			t.Errorf("dependencies.md names %s %d times, want one row with its licence and why it is used", module, len(named))
			continue
		}
		if got, want := page[named[0]], licence(t, dirs[module]); got != want {
			t.Errorf("dependencies.md: %s is under %q, not %q", module, want, got)
		}
		delete(page, named[0])
	}
	for name := range page {
		t.Errorf("dependencies.md names %q, which go.mod does not require directly", name)
	}
}

// rows are the page's modules with their licences; programs that are never linked have none.
func rows(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	row := regexp.MustCompile(`(?m)^\| ([^|*]+) \| ([A-Z][^|]+) \|`)
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		names, licences := strings.Split(m[1], ", "), strings.Split(m[2], ", ")
		for i, name := range names {
			all[name] = licences[min(i, len(licences)-1)] // one for all, or one each
		}
	}
	return all
}

// direct are the modules that go.mod requires and does not call indirect.
func direct(t *testing.T) []string {
	t.Helper()
	return strings.Fields(list(t, "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all"))
}

// linked are the modules that the programs and tests are built from, with the folders of their sources.
func linked(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	out := list(t, "-deps", "-test", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}", "./...")
	for line := range strings.Lines(out) {
		module, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if module != "" {
			all[module] = dir
		}
	}
	return all
}

func list(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = ".."
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %q: %v\n%s", args, err, complaint.String())
	}
	return string(out)
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying)(\.(txt|md))?$`)

// licence of the module in a folder; empty if its text is none that is known.
func licence(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("the module's sources: %v; go mod download gets them", err)
	}
	for _, file := range files {
		if !licenceFile.MatchString(file.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if known := classify(string(text)); known != "" {
			return known
		}
	}
	return ""
}

func classify(text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	text = strings.ReplaceAll(text, "license, version", "license version")
	for _, p := range phrases {
		if strings.Contains(text, p.phrase) {
			return p.licence
		}
	}
	return ""
}
