package view

// Paint colours words with the terminal's own sixteen colours, or not at all. Colour only repeats what a word
// says already.
type Paint struct{ On bool }

func (p Paint) sgr(code, text string) string {
	if !p.On || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold paints what stands out.
func (p Paint) Bold(text string) string { return p.sgr("1", text) }

// Dim paints what may be passed over.
func (p Paint) Dim(text string) string { return p.sgr("2", text) }

// Good paints good news.
func (p Paint) Good(text string) string { return p.sgr("32", text) }

// Warn paints what wants a look.
func (p Paint) Warn(text string) string { return p.sgr("33", text) }

// Bad paints bad news.
func (p Paint) Bad(text string) string { return p.sgr("31", text) }

// Name paints a name.
func (p Paint) Name(text string) string { return p.sgr("36", text) }

// State colours a state's or a ruling's word.
func (p Paint) State(word string) string {
	switch word {
	case "running", "promoted", "ok", "PROMOTE", "True", "right":
		return p.Good(word)
	case "paused", "stalled", "undecided", "UNDECIDED", "warning":
		return p.Warn(word)
	case "rejected", "REJECT", "failed", "cancelled", "False", "wrong":
		return p.Bad(word)
	}
	return word
}
