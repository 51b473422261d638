package agent

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Stop is the marker that ends every output.
const Stop = "# [END]"

// maxDepth bounds nesting, so that hostile output cannot exhaust the stack.
const maxDepth = 32

// errTruncated: the text ends inside an expression.
var errTruncated = errors.New("the output ends in the middle of the action; was it cut at max_tokens?")

// script is what an output consists of.
type script struct {
	comments []string
	calls    []*Call
}

// parseScript reads comments and call expressions up to the stop marker or the end of the text. Each call may be
// assigned: `ACTION_SELECTED: Answer = Answer(...)`.
func parseScript(text string) (script, error) {
	p := parser{text: text}
	var s script
	for {
		p.blank(&s.comments)
		if p.done() || p.stopped {
			return s, nil
		}
		call, err := p.statement()
		if err != nil {
			return s, err
		}
		s.calls = append(s.calls, call)
	}
}

// ParseValue reads one expression, with nothing but blanks and comments around it.
func ParseValue(text string) (Value, error) {
	p := parser{text: text}
	p.blank(nil)
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.blank(nil); !p.done() && !p.stopped {
		return nil, p.unexpected("the end")
	}
	return v, nil
}

type parser struct {
	text    string
	at      int
	stopped bool // the stop marker was passed
}

func (p *parser) done() bool { return p.at >= len(p.text) }

func (p *parser) rest() string { return p.text[p.at:] }

func (p *parser) peek() byte {
	if p.done() {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) unexpected(want string) error {
	if p.done() {
		return errTruncated
	}
	near := p.rest()
	if len(near) > 24 {
		near = strings.ToValidUTF8(near[:24], "") + "..."
	}
	return fmt.Errorf("want %s, have %q at byte %d", want, near, p.at)
}

// blank skips white space and collects comments; the stop marker ends everything.
func (p *parser) blank(comments *[]string) {
	for !p.done() {
		switch c := p.peek(); {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ';':
			p.at++
		case c == '\\' && strings.HasPrefix(p.rest(), "\\\n"):
			p.at += 2
		case c == '#':
			if p.comment(comments); p.stopped {
				return
			}
		default:
			return
		}
	}
}

func (p *parser) comment(comments *[]string) {
	line, _, _ := strings.Cut(p.rest(), "\n")
	if before, _, found := strings.Cut(line, Stop); found {
		p.stopped = true
		line = before
	}
	p.at += len(line)
	if text := strings.TrimSpace(strings.TrimLeft(line, "# ")); text != "" && comments != nil {
		*comments = append(*comments, text)
	}
}

// statement is a call, perhaps assigned to an annotated name.
func (p *parser) statement() (*Call, error) {
	name := p.name()
	if name == "" {
		return nil, p.unexpected("an action, such as ActionWrapper(...)")
	}
	p.blank(nil)
	if p.peek() == ':' { // annotation
		p.at++
		p.annotation()
	}
	if p.peek() == '=' {
		p.at++
		p.blank(nil)
		if name = p.name(); name == "" {
			return nil, p.unexpected("an action, such as ActionWrapper(...)")
		}
		p.blank(nil)
	}
	return p.call(name, 0)
}

// annotation skips a type such as `List[Action]`, up to the equals sign.
func (p *parser) annotation() {
	for !p.done() && p.peek() != '=' && p.peek() != '\n' {
		p.at++
	}
}

func (p *parser) name() string {
	start := p.at
	for !p.done() {
		c := p.peek()
		letter := c == '_' || c == '.' && p.at > start || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (p.at == start || c < '0' || c > '9') {
			break
		}
		p.at++
	}
	return p.text[start:p.at]
}

func (p *parser) call(name string, depth int) (*Call, error) {
	if p.peek() != '(' || p.done() {
		return nil, p.unexpected(`"(" after ` + name)
	}
	p.at++
	c := &Call{Name: name}
	for {
		p.blank(nil)
		if p.stopped || p.done() {
			return nil, errTruncated
		}
		if p.peek() == ')' {
			p.at++
			return c, nil
		}
		if err := p.argument(c, depth); err != nil {
			return nil, err
		}
		if err := p.comma(')'); err != nil {
			return nil, err
		}
	}
}

func (p *parser) argument(c *Call, depth int) error {
	name := p.name()
	p.blank(nil)
	if name == "" || p.peek() != '=' {
		return p.unexpected("keyword=value in " + c.Name + "(...)")
	}
	p.at++
	if c.Get(name) != nil {
		return fmt.Errorf("%s(...) has %s twice", c.Name, name)
	}
	p.blank(nil)
	v, err := p.value(depth + 1)
	if err != nil {
		return err
	}
	c.Args = append(c.Args, Arg{name, v})
	return nil
}

// comma reads the comma between elements; before the closing bracket it may be missing.
func (p *parser) comma(closing byte) error {
	p.blank(nil)
	switch {
	case p.stopped || p.done():
		return errTruncated
	case p.peek() == ',':
		p.at++
		return nil
	case p.peek() == closing:
		return nil
	}
	return p.unexpected(`"," or "` + string(closing) + `"`)
}

func (p *parser) value(depth int) (Value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch c := p.peek(); {
	case p.done() || p.stopped:
		return nil, errTruncated
	case c == '[' || c == '(':
		return p.list(depth)
	case c == '-' || c >= '0' && c <= '9':
		return p.integer()
	case p.stringAhead():
		return p.strings()
	}
	name := p.name()
	switch name {
	case "":
		return nil, p.unexpected("a value")
	case "True":
		return true, nil
	case "False":
		return false, nil
	case "None":
		return nil, nil
	}
	p.blank(nil)
	return p.call(name, depth)
}

func (p *parser) list(depth int) (Value, error) {
	closing := byte(']')
	if p.peek() == '(' {
		closing = ')'
	}
	p.at++
	list := []Value{}
	for comma := false; ; {
		p.blank(nil)
		if p.done() || p.stopped {
			return nil, errTruncated
		}
		if p.peek() == closing {
			p.at++
			if closing == ')' && len(list) == 1 && !comma { // brackets around one value, as long strings have
				return list[0], nil
			}
			return list, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		end := p.at
		if err := p.comma(closing); err != nil {
			return nil, err
		}
		comma = p.at > end && p.text[p.at-1] == ','
	}
}

func (p *parser) integer() (Value, error) {
	start := p.at
	for p.at++; p.peek() >= '0' && p.peek() <= '9'; p.at++ {
	}
	n, err := strconv.ParseInt(p.text[start:p.at], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("number %q: want an integer", p.text[start:p.at])
	}
	return n, nil
}
