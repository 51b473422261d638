package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is one key of a struct: its name in YAML and its value.
type field struct {
	key   string
	value reflect.Value
	// owner and name find the comment of the Go field.
	owner, name string
}

// fields lists the keys of a struct in their order; those of an inlined struct count as its own.
func fields(v reflect.Value) []field {
	var all []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			all = append(all, fields(v.Field(i))...)
		case key != "" && key != "-":
			all = append(all, field{key: key, value: v.Field(i), owner: v.Type().Name(), name: f.Name})
		}
	}
	return all
}

// keys are the names of fields.
func keys(all []field) []string {
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.key
	}
	return names
}

// isSection tells a struct with keys of its own from a single setting.
func isSection(v reflect.Value) bool { return v.Kind() == reflect.Struct }

// leaf is one setting and its path, such as bus.ack_wait.
type leaf struct {
	path  string
	value reflect.Value
}

// leaves lists every setting below a struct, in order.
func leaves(v reflect.Value, prefix string) []leaf {
	var all []leaf
	for _, f := range fields(v) {
		if isSection(f.value) {
			all = append(all, leaves(f.value, prefix+f.key+".")...)
		} else {
			all = append(all, leaf{prefix + f.key, f.value})
		}
	}
	return all
}

var durationType = reflect.TypeFor[time.Duration]()

// set reads a setting from text, as in the environment or on a flag: lists are comma separated, maps k=v.
func set(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.Slice:
		return setList(v, text)
	case reflect.Map:
		return setMap(v, text)
	default:
		return setScalar(v, text)
	}
}

func setList(v reflect.Value, text string) error {
	list := reflect.MakeSlice(v.Type(), 0, 0)
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if err := setScalar(element, part); err != nil {
			return err
		}
		list = reflect.Append(list, element)
	}
	v.Set(list)
	return nil
}

func setMap(v reflect.Value, text string) error {
	m := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		if !ok && strings.TrimSpace(part) != "" {
			return fmt.Errorf("want name=value, separated by commas, not %q", part)
		}
		if ok {
			m[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	v.Set(reflect.ValueOf(m))
	return nil
}

func setScalar(v reflect.Value, text string) error {
	if v.Type() == durationType {
		return setDuration(v, text)
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if u.UnmarshalText([]byte(text)) != nil {
			return wantDuration(text)
		}
		return nil
	}
	digits := strings.ReplaceAll(text, "_", "")
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("want true or false, not %q", text)
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return fmt.Errorf("want a whole number, not %q", text)
		}
		v.SetInt(n)
	case reflect.Uint64:
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return fmt.Errorf("want a whole number from 0, not %q", text)
		}
		v.SetUint(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(digits, 64)
		if err != nil || x != x {
			return fmt.Errorf("want a number, not %q", text)
		}
		v.SetFloat(x)
	default:
		return fmt.Errorf("cannot be set from text; use the file")
	}
	return nil
}

func setDuration(v reflect.Value, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return wantDuration(text)
	}
	v.SetInt(int64(d))
	return nil
}

func wantDuration(text string) error {
	return fmt.Errorf("want a time with its unit, such as 90s, 5m or 2h, not %q", text)
}

// show prints a setting the way set reads it.
func show(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case []string:
		return strings.Join(x, ",")
	case map[string]string:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(x)) {
			parts = append(parts, key+"="+x[key])
		}
		return strings.Join(parts, ",")
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(v.Interface())
}
