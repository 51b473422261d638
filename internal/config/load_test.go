package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "bus:\n  url: nats://file:1\n  ack_wait: 7s\n  kinds: [a, b]\nrollout:\n  slots: 3\n")
	env := []string{"RATCHET_BUS_ACK_WAIT=8s", "RATCHET_ROLLOUT_SLOTS=4", "RATCHET_LLM_KEY_FILES=h:1=/a, i=/b", "HOME=/"}
	cfg, sources, err := Load(file, env, map[string]string{"rollout.slots": "5"})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{cfg.Bus.URL, cfg.Bus.AckWait, cfg.Rollout.Slots, cfg.Bus.Kinds, cfg.LLM.KeyFiles, cfg.Rank.Slots}
	want := []any{"nats://file:1", 8 * time.Second, 5, []string{"a", "b"}, map[string]string{"h:1": "/a", "i": "/b"}, Default().Rank.Slots}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for path, source := range map[string]string{
		"bus.url": file + ":2", "bus.ack_wait": "RATCHET_BUS_ACK_WAIT", "rollout.slots": "--set", "rank.slots": SourceDefault,
	} {
		if sources[path] != source {
			t.Errorf("source of %s is %q, want %q", path, sources[path], source)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file string
		env        []string
		set        map[string]string
		want       string
	}{
		{name: "unknown key", file: "bus:\n  urll: x\n", want: `c.yaml:2: unknown key "urll"; did you mean "url"?`},
		{name: "unknown section", file: "\nbuss:\n  url: x\n", want: `c.yaml:2: unknown key "buss"; did you mean "bus"?`},
		{name: "nothing near", file: "zzzzzzzz: 1\n", want: "fix: use one of: bus, blob"},
		{name: "no YAML", file: "bus: [\n", want: "c.yaml:1: not YAML"},
		{name: "two documents", file: "bus:\n  replicas: 1\n---\nbus:\n  replicas: 3\n", want: "second document"},
		{name: "list for a section", file: "bus: [a]\n", want: "c.yaml:1: bus: want keys and values"},
		{name: "section for a value", file: "bus:\n  url:\n    a: b\n", want: "bus.url: want a single value"},
		{name: "value for a list", file: "bus:\n  kinds: a\n", want: "bus.kinds: want a list"},
		{name: "duration without unit", file: "bus:\n  ack_wait: 60\n", want: "c.yaml:2: bus.ack_wait: want a time with its unit"},
		{name: "zero", file: "rollout:\n  slots: 0\n", want: "c.yaml:2: rollout.slots: want a number greater than 0"},
		{name: "bad word", file: "log:\n  level: inof\n", want: `c.yaml:2: log.level: unknown value "inof"; did you mean "info"?`},
		{name: "variable with a typo", env: []string{"RATCHET_BUS_URI=x"}, want: "unknown variable RATCHET_BUS_URI; did you mean RATCHET_BUS_URL?"},
		{name: "variable with a bad value", env: []string{"RATCHET_RANK_SLOTS=many"}, want: `RATCHET_RANK_SLOTS: rank.slots: want a whole number, not "many"`},
		{name: "flag with a typo", set: map[string]string{"bus.ulr": "x"}, want: `--set bus.ulr: unknown key "bus.ulr"; did you mean "bus.url"?`},
		{name: "bad URL", set: map[string]string{"bus.url": "localhost:4222"}, want: "--set: bus.url: want nats://host:port"},
		{name: "bad blob URL", set: map[string]string{"blob.url": "/tmp"}, want: "blob.url: want s3://bucket/prefix"},
		{name: "kind twice", file: "bus:\n  kinds: [a, a]\n", want: `"a" is named twice`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := ""
			if c.file != "" {
				path = write(t, "c.yaml", c.file)
			}
			_, _, err := Load(path, c.env, c.set)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant it to contain %q", err, c.want)
			}
		})
	}
}

func TestLoadReportsEverything(t *testing.T) {
	t.Parallel()
	_, _, err := Load(write(t, "c.yaml", "rollout:\n  slots: 0\nrank:\n  slots: -1\n"), nil, nil)
	if err == nil || strings.Count(err.Error(), "greater than 0") != 2 {
		t.Errorf("want both problems, got %v", err)
	}
}

// Kubernetes makes such variables of a service's name; they must not stop a pod.
func TestLoadIgnoresForeignVariables(t *testing.T) {
	t.Parallel()
	env := []string{"RATCHET_COORDINATOR_PORT=tcp://10.0.0.1:80", "RATCHET_COORDINATOR_SERVICE_HOST=10.0.0.1", "RATCHET_CONFIG=x", "RATCHET_PROGRESS=plain"}
	if _, _, err := Load("", env, nil); err != nil {
		t.Error(err)
	}
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestSettingsRoundTrip(t *testing.T) {
	t.Parallel()
	cfg, sources, err := Load("", []string{"RATCHET_LLM_KEY_FILES=a=b,c=d", "RATCHET_BUS_KINDS=x,y"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	overrides := map[string]string{}
	for _, s := range cfg.Settings(sources) {
		overrides[s.Key] = s.Value
	}
	again, _, err := Load("", nil, overrides)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := again.Settings(nil), cfg.Settings(nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	if got, err := Secret(write(t, "key", "  s3cret\n")); err != nil || got != "s3cret" {
		t.Errorf("got %q, %v", got, err)
	}
	for name, text := range map[string]string{"empty": " \n", "two lines": "hush\nhush", "huge": strings.Repeat("hush", 1<<16)} {
		_, err := Secret(write(t, "key", text))
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: want an error that keeps the secret, got %v", name, err)
		}
	}
	if _, err := Secret(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("want an error for a missing file")
	}
}

func TestPortRange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text        string
		first, last int
		ok          bool
	}{
		{"", 0, 0, true},
		{"8000-8099", 8000, 8099, true},
		{"8000", 8000, 8000, true},
		{text: "0-10"},
		{"9-8", 9, 8, false},
		{text: "80-"},
		{text: "a-b"},
		{text: "1-65536"},
	} {
		first, last, ok := Bridge{Ports: c.text}.PortRange()
		if ok != c.ok || ok && (first != c.first || last != c.last) {
			t.Errorf("%q is %d-%d, %v", c.text, first, last, ok)
		}
	}
}
