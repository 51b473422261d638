package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/ratchet-rl/ratchet/internal/telemetry"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

// toYAML turns JSON into YAML that a terminal may show: the library would write the control characters of a text
// as they are.
func toYAML(text []byte) ([]byte, error) {
	var value any
	if err := yaml.UnmarshalWithOptions(text, &value, yaml.UseOrderedMap()); err != nil {
		return nil, err
	}
	return yaml.MarshalWithOptions(withQuoted(value), yaml.CustomMarshaler(quoted.yaml))
}

// quoted is a text that stands in double quotes, with escapes.
type quoted string

func (q quoted) yaml() ([]byte, error) {
	text, err := json.Marshal(string(q)) // which is YAML too
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = telemetry.JSONWriter(&b).Write(text)
	return b.Bytes(), err
}

// withQuoted is a value with its texts that need it as quoted. A key cannot be: its hidden characters are replaced.
func withQuoted(value any) any {
	switch v := value.(type) {
	case yaml.MapSlice:
		for i := range v {
			if key, ok := v[i].Key.(string); ok && hides(key) {
				v[i].Key = view.Safe(key)
			}
			v[i].Value = withQuoted(v[i].Value)
		}
	case []any:
		for i := range v {
			v[i] = withQuoted(v[i])
		}
	case string:
		if hides(v) {
			return quoted(v)
		}
	}
	return value
}

func hides(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && telemetry.IsHidden(r) })
}
