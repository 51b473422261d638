package agent

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Value is a Python literal or call of the action grammar: string, int64, bool, nil (None), []Value or *Call.
type Value any

// Call is a call expression with keyword arguments, in order.
type Call struct {
	Name string
	Args []Arg
}

// Arg is one keyword argument.
type Arg struct {
	Name  string
	Value Value
}

// Get is an argument's value, nil if it is absent.
func (c *Call) Get(name string) Value {
	for _, a := range c.Args {
		if a.Name == name {
			return a.Value
		}
	}
	return nil
}

// text is a string argument, empty if it is absent; anything but a string is an error.
func (c *Call) text(name string) (string, error) {
	switch v := c.Get(name).(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	default:
		return "", fmt.Errorf("%s(%s=...): want a string", c.Name, name)
	}
}

// Print writes a value the way prompts show it: thoughts in double quotes, other strings in single ones.
func Print(v Value) string {
	var b strings.Builder
	print(&b, v, '\'')
	return b.String()
}

func print(b *strings.Builder, v Value, quote byte) {
	switch v := v.(type) {
	case string:
		printString(b, v, quote)
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case []Value:
		printList(b, v)
	case *Call:
		printCall(b, v)
	default:
		b.WriteString("None")
	}
}

func printCall(b *strings.Builder, c *Call) {
	b.WriteString(c.Name)
	b.WriteByte('(')
	for i, a := range c.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.Name)
		b.WriteByte('=')
		if a.Name == "thoughts" {
			print(b, a.Value, '"')
		} else {
			print(b, a.Value, '\'')
		}
	}
	b.WriteByte(')')
}

// printList puts a comma behind every call, as in the listings of the paper.
func printList(b *strings.Builder, list []Value) {
	b.WriteByte('[')
	for i, v := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		print(b, v, '\'')
		if _, isCall := v.(*Call); isCall || i < len(list)-1 {
			b.WriteByte(',')
		}
	}
	b.WriteByte(']')
}

// printString escapes whatever could end the string, its line or, as the stop marker, the whole text: what comes from
// the web stays inside its quotes. Plain runs are copied whole: prompts are nearly all of that.
func printString(b *strings.Builder, s string, quote byte) {
	b.WriteByte(quote)
	plain := 0
	for i, r := range s {
		escaped := escapeOf(s[i:], r, quote)
		if escaped == "" {
			continue
		}
		b.WriteString(s[plain:i])
		b.WriteString(escaped)
		plain = i + utf8.RuneLen(r)
		if r == utf8.RuneError {
			_, size := utf8.DecodeRuneInString(s[i:])
			plain = i + size
		}
	}
	b.WriteString(s[plain:])
	b.WriteByte(quote)
}

// escapeOf is how the rune that rest begins with is written; empty: as it is.
func escapeOf(rest string, r rune, quote byte) string {
	switch {
	case r == rune(quote) || r == '\\':
		return "\\" + string(r)
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r == '#' && strings.HasPrefix(rest, Stop):
		return `\x23`
	case r == utf8.RuneError: // a broken byte, too
		return string(r)
	case unicode.IsPrint(r):
		return ""
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
