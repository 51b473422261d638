package fault

import (
	"bufio"
	"strings"
	"testing"
)

func TestReadFrame(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]frame{
		"PING\r\n":                     {},
		"+OK\r\n":                      {},
		"SUB a.b 1\r\n":                {},
		"PUB a.b 2\r\nhi\r\n":          {subject: "a.b"},
		"PUB a.b re.ply 2\r\n\r\n\r\n": {subject: "a.b", reply: "re.ply"},
		"HPUB a.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\n":        {subject: "a.b"},
		"HPUB a.b re.ply 12 12\r\nNATS/1.0\r\n\r\n\r\n":   {subject: "a.b", reply: "re.ply"},
		"MSG a.b 7 2\r\nhi\r\n":                           {subject: "a.b"},
		"MSG a.b 7 re.ply 0\r\n\r\n":                      {subject: "a.b", reply: "re.ply"},
		"HMSG a.b 7 re.ply 12 12\r\nNATS/1.0\r\n\r\n\r\n": {subject: "a.b", reply: "re.ply"},
	} {
		stream := bufio.NewReader(strings.NewReader(line + "PONG\r\n"))
		got, err := readFrame(stream)
		if err != nil || got.subject != want.subject || got.reply != want.reply || string(got.raw) != line {
			t.Errorf("%q: %q to %q, reply %q, %v", line, got.raw, got.subject, got.reply, err)
		}
		if next, err := readFrame(stream); err != nil || string(next.raw) != "PONG\r\n" {
			t.Errorf("after %q: %q, %v", line, next.raw, err)
		}
	}
	for _, bad := range []string{"PUB\r\n", "PUB a.b many\r\n", "PUB a.b -9\r\n", "PUB a.b 9\r\nhi\r\n", "PUB a.b 2"} {
		if _, err := readFrame(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
