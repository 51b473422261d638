package config

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
)

// The comments of the structs are the manual, so the structs' own files are what the example files are made of.
var (
	//go:embed config.go
	configSource []byte
	//go:embed run.go
	runSource []byte
)

// manualWidth is where comments wrap.
const manualWidth = 100

// ExampleConfig is a configuration file of every setting with its manual, all of them commented out.
func ExampleConfig() []byte {
	defaults := Default()
	return example("# Ratchet's configuration: every setting, its meaning and its default. Uncomment what you change.\n\n",
		configSource, reflect.ValueOf(&defaults).Elem(), reflect.ValueOf(&defaults).Elem())
}

// ExampleRun is a run file of every setting with its manual; what run says that is no default stands, the rest
// is commented out.
func ExampleRun(run Run) []byte {
	defaults := DefaultRun()
	filled := withOptional(run)
	return example("# A run of Ratchet, for `ratchet submit`: every setting, its meaning and its default.\n\n",
		runSource, reflect.ValueOf(&filled).Elem(), reflect.ValueOf(&defaults).Elem())
}

// withOptional names the optional parts, so that their keys are in the manual; they stay commented out.
func withOptional(run Run) Run {
	if run.Evaluation.Locked == nil {
		run.Evaluation.Locked = &Source{}
	}
	if run.Strategy.Labels == nil {
		run.Strategy.Labels = &Source{}
	}
	if run.Deploy.Kubernetes == nil {
		run.Deploy.Kubernetes = &Pod{}
	}
	run.Targets = slices.Clone(run.Targets) // the caller's stay as they are
	for i := range run.Targets {
		run.Targets[i].Kubernetes = cmp.Or(run.Targets[i].Kubernetes, &Pod{})
	}
	return run
}

func example(head string, source []byte, v, defaults reflect.Value) []byte {
	m := manual{comments: fieldComments(source)}
	m.WriteString(head)
	m.section(v, defaults, "", 0)
	return m.Bytes()
}

// fieldComments finds the comment of each field of each struct in a Go file, by Struct.Field.
func fieldComments(source []byte) map[string]string {
	comments := map[string]string{}
	file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments)
	if err != nil { // it compiled
		return comments
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if body, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range body.Fields.List {
				for _, name := range f.Names {
					comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
				}
			}
		}
		return false
	})
	return comments
}

// manual writes YAML with comments.
type manual struct {
	bytes.Buffer
	comments map[string]string
}

// section writes the keys of a struct; depth is its indentation. A line whose value is the default is commented
// out, and mark is in front of every line of a section that says nothing.
func (m *manual) section(v, defaults reflect.Value, mark string, depth int) {
	for i, f := range fields(v) {
		var otherwise reflect.Value
		if defaults.IsValid() {
			otherwise = fields(defaults)[i].value
		}
		m.field(f, otherwise, mark, depth)
	}
}

func (m *manual) field(f field, defaults reflect.Value, mark string, depth int) {
	m.comment(m.comments[f.owner+"."+f.name], mark, depth)
	value := f.value
	if value.Kind() == reflect.Pointer {
		value, defaults = value.Elem(), reflect.Value{}
	}
	silent := mark
	if isDefault(value, defaults) {
		silent = "#"
	}
	switch {
	case isSection(value):
		m.line(silent, depth, f.key+":")
		m.section(value, defaults, silent, depth+1)
	case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct:
		m.line(silent, depth, f.key+":")
		for i := range value.Len() {
			m.element(value.Index(i), silent, depth+1)
		}
	default:
		m.line(silent, depth, f.key+": "+yamlText(value))
	}
	if depth == 0 {
		m.WriteByte('\n')
	}
}

// element writes a struct of a list; its first line carries the dash.
func (m *manual) element(v reflect.Value, mark string, depth int) {
	inner := manual{comments: m.comments}
	inner.section(v, reflect.Value{}, mark, depth+1)
	indent := strings.Repeat("  ", depth)
	for i, line := range strings.SplitAfter(inner.String(), "\n") {
		if body, ok := strings.CutPrefix(line, mark+indent+"  "); ok && i == 0 {
			line = mark + indent + "- " + body
		}
		m.WriteString(line)
	}
}

func isDefault(value, defaults reflect.Value) bool {
	if !defaults.IsValid() {
		return value.IsZero()
	}
	return reflect.DeepEqual(value.Interface(), defaults.Interface())
}

func (m *manual) line(mark string, depth int, text string) {
	fmt.Fprintf(m, "%s%s%s\n", mark, strings.Repeat("  ", depth), text)
}

// comment wraps a comment over as many lines as it needs.
func (m *manual) comment(text, mark string, depth int) {
	lead := mark + strings.Repeat("  ", depth) + "# "
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(lead)+len(line)+1+len(word) > manualWidth {
			m.WriteString(lead + line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		m.WriteString(lead + line + "\n")
	}
}

// yamlText is a setting as YAML on one line.
func yamlText(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = yamlText(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		return "{}"
	case reflect.String:
		return quoted(v.String())
	default:
		return show(v)
	}
}

// quoted quotes a text that YAML would not read as that text.
func quoted(text string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-:@+ "
	plain := text != "" && strings.Trim(text, safe) == "" && strings.TrimSpace(text) == text &&
		!strings.Contains(text, ": ") && !strings.HasSuffix(text, ":") && !strings.ContainsAny(text[:1], "-:@ ")
	if plain {
		switch strings.ToLower(text) {
		case "on", "off", "yes", "no", "true", "false", "null":
			plain = false
		}
	}
	if plain {
		return text
	}
	return fmt.Sprintf("%q", text)
}
