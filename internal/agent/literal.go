package agent

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// stringAhead: a quote, perhaps after a prefix such as r, f or b.
func (p *parser) stringAhead() bool {
	rest := p.rest()
	for len(rest) > 0 && strings.IndexByte("rRbBuUfF", rest[0]) >= 0 && len(p.rest())-len(rest) < 2 {
		rest = rest[1:]
	}
	return rest != "" && (rest[0] == '\'' || rest[0] == '"')
}

// strings reads one or more adjacent string literals.
func (p *parser) strings() (Value, error) {
	var b strings.Builder
	for p.stringAhead() {
		if err := p.stringLiteral(&b); err != nil {
			return nil, err
		}
		p.blank(nil)
		if p.stopped {
			break
		}
	}
	return b.String(), nil
}

func (p *parser) stringLiteral(b *strings.Builder) error {
	raw := false
	for p.peek() != '\'' && p.peek() != '"' {
		raw = raw || p.peek() == 'r' || p.peek() == 'R'
		p.at++
	}
	quote := p.rest()[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(p.rest(), triple) {
		quote = triple
	}
	p.at += len(quote)
	for {
		switch {
		case p.done():
			return errTruncated
		case strings.HasPrefix(p.rest(), quote):
			p.at += len(quote)
			return nil
		case p.peek() == '\n' && len(quote) == 1:
			return fmt.Errorf("a line ends inside a string at byte %d", p.at)
		case p.peek() == '\\' && !raw:
			if err := p.escape(b); err != nil {
				return err
			}
		case p.peek() == '\\' && p.at+1 < len(p.text): // raw: the backslash stays, and the quote behind it does not end it
			b.WriteString(p.text[p.at : p.at+2])
			p.at += 2
		default:
			b.WriteByte(p.peek())
			p.at++
		}
	}
}

var simpleEscapes = map[byte]string{
	'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': `"`, '\n': "", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v",
}

// hexDigits of \x, \u and \U.
var hexDigits = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// escape reads an escape sequence; one that Python does not know stands for itself, as in Python.
func (p *parser) escape(b *strings.Builder) error {
	if p.at+1 >= len(p.text) {
		return errTruncated
	}
	c := p.text[p.at+1]
	if text, ok := simpleEscapes[c]; ok {
		b.WriteString(text)
		p.at += 2
		return nil
	}
	if c >= '0' && c <= '7' {
		b.WriteRune(p.octal())
		return nil
	}
	if hexDigits[c] == 0 {
		b.WriteByte('\\')
		p.at++
		return nil
	}
	r, err := p.hex()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) && strings.HasPrefix(p.rest(), `\u`) { // a pair, as JSON writes it
		low, err := p.hex()
		if err != nil {
			return err
		}
		r = utf16.DecodeRune(r, low)
	}
	b.WriteRune(r) // what is no character becomes U+FFFD
	return nil
}

// octal reads \ooo, one to three digits.
func (p *parser) octal() rune {
	p.at++
	var r rune
	for n := 0; n < 3 && p.peek() >= '0' && p.peek() <= '7'; n++ {
		r = r*8 + rune(p.peek()-'0')
		p.at++
	}
	return r
}

// hex reads \xhh, \uhhhh or \Uhhhhhhhh.
func (p *parser) hex() (rune, error) {
	c := p.text[p.at+1]
	digits := hexDigits[c]
	if p.at+2+digits > len(p.text) {
		return 0, errTruncated
	}
	code, err := strconv.ParseUint(p.text[p.at+2:p.at+2+digits], 16, 32)
	if err != nil {
		return 0, fmt.Errorf("escape \\%c at byte %d: want %d hexadecimal digits", c, p.at, digits)
	}
	if code > utf8.MaxRune {
		code = utf8.RuneError
	}
	p.at += 2 + digits
	return rune(code), nil
}
