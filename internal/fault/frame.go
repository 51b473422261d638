package fault

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// frame is one message of the NATS protocol, in either direction: a line, and a payload where the line announces one.
type frame struct {
	raw []byte
	// subject and reply of a publish or of a delivered message; empty for all else.
	subject, reply string
}

// readFrame reads one. Of a line [H]PUB subject [reply] [header-bytes] bytes, or [H]MSG subject sid [reply] ..., the
// last field is the size of what follows.
func readFrame(r *bufio.Reader) (frame, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return frame{}, err
	}
	f, fields := frame{raw: line}, bytes.Fields(line)
	if len(fields) == 0 {
		return f, nil
	}
	before, after := 2, 1 // fields up to the subject's end, and after the reply
	switch verb := string(bytes.ToUpper(fields[0])); verb {
	case "PUB", "MSG", "HPUB", "HMSG":
		if verb == "MSG" || verb == "HMSG" {
			before++
		}
		if verb[0] == 'H' {
			after++
		}
	default:
		return f, nil
	}
	if len(fields) < before+after {
		return f, fmt.Errorf("NATS protocol: unexpected line %q", line)
	}
	f.subject = string(fields[1])
	if len(fields) > before+after {
		f.reply = string(fields[before])
	}
	size, err := strconv.Atoi(string(fields[len(fields)-1]))
	if err != nil || size < 0 {
		return f, fmt.Errorf("NATS protocol: unexpected size in line %q", line)
	}
	payload := make([]byte, size+len("\r\n"))
	if _, err := io.ReadFull(r, payload); err != nil {
		return f, err
	}
	f.raw = append(f.raw, payload...)
	return f, nil
}
