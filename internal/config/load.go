package config

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Sources says where each setting's value came from, by its path (bus.url): default, file:line, the name of an
// environment variable, or --set.
type Sources map[string]string

// SourceDefault is the source of a setting that nobody set.
const SourceDefault = "default"

// Load reads the configuration: defaults, over them the file (none if path is empty), the environment, and the
// overrides (by path, as of --set bus.url=...). It reports everything that is wrong at once.
func Load(path string, env []string, overrides map[string]string) (Config, Sources, error) {
	cfg, sources := Default(), Sources{}
	settings := leaves(reflect.ValueOf(&cfg).Elem(), "")
	for _, s := range settings {
		sources[s.path] = SourceDefault
	}
	if err := loadFile(path, &cfg, sources); err != nil {
		return cfg, sources, err
	}
	var wrong problems
	loadEnvironment(settings, env, sources, &wrong)
	loadOverrides(settings, overrides, sources, &wrong)
	if err := wrong.err(); err != nil {
		return cfg, sources, err
	}
	return cfg, sources, cfg.validate(sources)
}

func loadFile(path string, cfg *Config, sources Sources) error {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	doc, err := read(data, path, cfg)
	if err != nil {
		return err
	}
	for setting := range sources {
		if line, ok := doc.lines[setting]; ok {
			sources[setting] = doc.at(line)
		}
	}
	return nil
}

// Variable is the environment variable of a setting: bus.ack_wait is RATCHET_BUS_ACK_WAIT.
func Variable(path string) string {
	return "RATCHET_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// loadEnvironment takes the variables that are settings. One that is nearly a setting is a mistake; any other
// is somebody else's.
func loadEnvironment(settings []leaf, env []string, sources Sources, wrong *problems) {
	byName := map[string]leaf{}
	for _, s := range settings {
		byName[Variable(s.path)] = s
	}
	for _, entry := range env {
		name, text, _ := strings.Cut(entry, "=")
		if s, ok := byName[name]; ok {
			apply(s, text, name, sources, wrong)
		} else if meant := misspelt(name, byName); meant != "" {
			wrong.add(&Error{Place: "environment", Problem: fmt.Sprintf("unknown variable %s; did you mean %s?", name, meant)})
		}
	}
}

// ofService matches what Kubernetes makes of a service's name for every pod beside it.
var ofService = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT|PORT)(_.*)?$`)

// misspelt is the variable that name is a slip of: one of the same section whose key is near.
func misspelt(name string, known map[string]leaf) string {
	parts := strings.SplitN(name, "_", 3)
	if len(parts) < 3 || parts[0] != "RATCHET" || ofService.MatchString(name) {
		return ""
	}
	section, ends := "RATCHET_"+parts[1]+"_", []string{}
	for _, other := range slices.Sorted(maps.Keys(known)) {
		if end, ok := strings.CutPrefix(other, section); ok {
			ends = append(ends, end)
		}
	}
	if end := nearest(parts[2], ends); end != "" {
		return section + end
	}
	return ""
}

func loadOverrides(settings []leaf, overrides map[string]string, sources Sources, wrong *problems) {
	byPath, paths := map[string]leaf{}, []string{}
	for _, s := range settings {
		byPath[s.path] = s
		paths = append(paths, s.path)
	}
	for _, path := range slices.Sorted(maps.Keys(overrides)) {
		if s, ok := byPath[path]; ok {
			apply(s, overrides[path], "--set", sources, wrong)
		} else {
			wrong.add(unknown("--set "+path, path, paths))
		}
	}
}

func apply(s leaf, text, source string, sources Sources, wrong *problems) {
	if err := set(s.value, text); err != nil {
		wrong.add(&Error{Place: source, Key: s.path, Problem: err.Error()})
		return
	}
	sources[s.path] = source
}

// Setting is one line of the effective configuration.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Settings lists the configuration with its sources, in the order of the file.
func (c Config) Settings(sources Sources) []Setting {
	var all []Setting
	for _, s := range leaves(reflect.ValueOf(&c).Elem(), "") {
		all = append(all, Setting{Key: s.path, Value: show(s.value), Source: sources[s.path]})
	}
	return all
}
