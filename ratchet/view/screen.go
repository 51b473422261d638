package view

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// Screen redraws the last lines of a terminal in place, without an alternate screen: the last frame stays. What
// else is printed meanwhile goes through it too, and appears above. It may be used concurrently.
type Screen struct {
	out io.Writer

	mu    sync.Mutex // guards drawn, and keeps writes apart
	drawn []string
}

// NewScreen writes to out.
func NewScreen(out io.Writer) *Screen { return &Screen{out: out} }

// Redraw replaces the lines of the last Redraw. No line may be wider than the terminal.
func (s *Screen) Redraw(lines []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.erase() + joined(lines)
	s.drawn = lines
	return s.write(text)
}

// Print prints lines for good, above what is redrawn.
func (s *Screen) Print(lines ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(s.erase() + joined(lines) + joined(s.drawn))
}

// Write prints whole lines, as a log does.
func (s *Screen) Write(text []byte) (int, error) {
	return len(text), s.Print(strings.TrimSuffix(string(text), "\n"))
}

// erase goes back to where the last Redraw began and clears what is below; s.mu is held.
func (s *Screen) erase() string {
	if len(s.drawn) == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\x1b[J", len(s.drawn))
}

func (s *Screen) write(text string) error {
	_, err := io.WriteString(s.out, text)
	return err
}

func joined(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
