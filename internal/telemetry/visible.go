package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Visible is a text on one line with everything visible: control characters as their Unicode pictures, what
// reorders or hides text as its code point. Line breaks count as control characters. Whatever a model, a page, a
// dataset or an endpoint said goes through here, or through JSONWriter, on its way to a terminal.
func Visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < 0x20:
			b.WriteRune(0x2400 + r) // SYMBOL FOR ...
		case r == 0x7f:
			b.WriteRune('␡')
		case r == utf8.RuneError, IsHidden(r):
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// VisibleLines is Visible for a text whose line breaks are its own, such as an error's remedy.
func VisibleLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = Visible(lines[i])
	}
	return strings.Join(lines, "\n")
}

// IsHidden tells characters that a terminal does not show, or that change how it shows others: C1 controls,
// bidirectional formatting, zero-width characters, tags, line separators.
func IsHidden(r rune) bool {
	if r < utf8.RuneSelf { // nearly all of them: the tables take ten times as long
		return r < ' ' || r == 0x7f
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
		unicode.Is(unicode.Co, r) || unicode.Is(unicode.Cs, r) || unicode.Is(unicode.Variation_Selector, r)
}

// JSONWriter writes JSON on to w with what IsHidden tells escaped, so that it is the same JSON and a terminal shows
// all of it. A write holds whole characters.
func JSONWriter(w io.Writer) io.Writer { return jsonWriter{w} }

type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(text []byte) (int, error) {
	if _, err := j.w.Write(visibleJSON(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// visibleJSON leaves line breaks and tabs, which JSON has between values only.
func visibleJSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, isHiddenInJSON) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case !isHiddenInJSON(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

func isHiddenInJSON(r rune) bool { return IsHidden(r) && r != '\n' && r != '\t' && r != '\r' }
