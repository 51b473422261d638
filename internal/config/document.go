package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// document is a YAML file read into a struct; it remembers where each setting stands.
type document struct {
	name  string
	lines map[string]int // by path, such as policy.candidates or targets[1].name
}

// read decodes data over what is in the struct that into points at. Every key must be one of the struct's; what
// the file leaves out or leaves empty stays as it was. All that is wrong is reported, each with its line.
func read(data []byte, name string, into any) (*document, error) {
	doc := &document{name: name, lines: map[string]int{}}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, doc.syntax(err)
	}
	var wrong problems
	for i, body := range file.Docs {
		if body.Body == nil {
			continue
		}
		if i > 0 {
			return nil, doc.fault(body.Body, "", "a second document (---) in one file")
		}
		doc.section(body.Body, reflect.ValueOf(into).Elem(), "", &wrong)
	}
	return doc, wrong.err()
}

func (d *document) syntax(err error) error {
	var located yaml.Error
	if errors.As(err, &located) && located.GetToken() != nil {
		return &Error{Place: d.at(located.GetToken().Position.Line), Problem: "not YAML: " + located.GetMessage()}
	}
	return &Error{Place: d.name, Problem: "not YAML: " + err.Error()}
}

func (d *document) at(line int) string { return fmt.Sprintf("%s:%d", d.name, line) }

// place is where a setting stands; the file, if it does not.
func (d *document) place(path string) string {
	for ; path != ""; path = parent(path) {
		if line, ok := d.lines[path]; ok {
			return d.at(line)
		}
	}
	return d.name
}

func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

func (d *document) fault(n ast.Node, path, problem string) error {
	return &Error{Place: d.at(n.GetToken().Position.Line), Key: path, Problem: problem}
}

// section reads a mapping into a struct.
func (d *document) section(n ast.Node, into reflect.Value, path string, wrong *problems) {
	entries, ok := mapping(n)
	if !ok {
		wrong.add(d.fault(n, path, fmt.Sprintf("want keys and values below it, not %s", n.Type())))
		return
	}
	known, prefix := fields(into), path
	if prefix != "" {
		prefix += "."
	}
	for _, entry := range entries {
		key, line := entry.Key.GetToken().Value, entry.Key.GetToken().Position.Line
		f, ok := find(known, key)
		if !ok {
			wrong.add(unknown(d.at(line), key, keys(known)))
			continue
		}
		d.lines[prefix+key] = line
		d.value(entry.Value, f.value, prefix+key, wrong)
	}
}

func find(all []field, key string) (field, bool) {
	for _, f := range all {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

// mapping is the entries of a mapping node.
func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

// value reads any node into a setting or a section.
func (d *document) value(n ast.Node, into reflect.Value, path string, wrong *problems) {
	if n.Type() == ast.NullType {
		return
	}
	switch {
	case into.Kind() == reflect.Pointer:
		fresh := reflect.New(into.Type().Elem())
		d.section(n, fresh.Elem(), path, wrong)
		into.Set(fresh)
	case isSection(into):
		d.section(n, into, path, wrong)
	case into.Kind() == reflect.Slice:
		d.list(n, into, path, wrong)
	case into.Kind() == reflect.Map:
		d.texts(n, into, path, wrong)
	default:
		d.scalar(n, into, path, wrong)
	}
}

func (d *document) list(n ast.Node, into reflect.Value, path string, wrong *problems) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		wrong.add(d.fault(n, path, "want a list, such as [a, b]"))
		return
	}
	list := reflect.MakeSlice(into.Type(), len(sequence.Values), len(sequence.Values))
	for i, element := range sequence.Values {
		here := fmt.Sprintf("%s[%d]", path, i)
		d.lines[here] = element.GetToken().Position.Line
		d.value(element, list.Index(i), here, wrong)
	}
	into.Set(list)
}

func (d *document) texts(n ast.Node, into reflect.Value, path string, wrong *problems) {
	entries, ok := mapping(n)
	if !ok {
		wrong.add(d.fault(n, path, "want names and values below it"))
		return
	}
	m := map[string]string{}
	for _, entry := range entries {
		var text string
		d.scalar(entry.Value, reflect.ValueOf(&text).Elem(), path, wrong)
		m[entry.Key.GetToken().Value] = text
	}
	into.Set(reflect.ValueOf(m))
}

func (d *document) scalar(n ast.Node, into reflect.Value, path string, wrong *problems) {
	text, ok := scalarText(n)
	if !ok {
		wrong.add(d.fault(n, path, fmt.Sprintf("want a single value, not %s", n.Type())))
		return
	}
	if err := setScalar(into, text); err != nil {
		wrong.add(d.fault(n, path, err.Error()))
	}
}

// scalarText is a scalar as it is written, quotes apart.
func scalarText(n ast.Node) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}
