package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// portRange is the ports that servers may have, first to last; the zero range is any that is free.
type portRange struct{ first, last int }

// port is the server's port, picked the first time it is asked for.
func (d *program) port(ctx context.Context, f folder) (int, error) {
	d.picking.Lock()
	defer d.picking.Unlock()
	port, err := f.number("port")
	if !errors.Is(err, fs.ErrNotExist) {
		return port, err
	}
	if port, err = d.pick(ctx); err != nil {
		return 0, err
	}
	return port, f.write("port", strconv.Itoa(port))
}

// pick finds a port that nobody listens on and no other server has.
func (d *program) pick(ctx context.Context) (int, error) {
	names, err := d.Servers(ctx)
	if err != nil {
		return 0, err
	}
	taken := map[int]bool{}
	for _, name := range names {
		if port, err := d.folder(name).number("port"); err == nil {
			taken[port] = true
		}
	}
	candidates := []int{0, 0, 0, 0, 0, 0, 0, 0} // the kernel chooses
	if d.ports.first > 0 {
		candidates = candidates[:0]
		for port := d.ports.first; port <= d.ports.last; port++ {
			candidates = append(candidates, port)
		}
	}
	for _, candidate := range candidates {
		if port, ok := d.free(candidate); ok && !taken[port] {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port of bridge.ports (%d-%d) on %s is free", d.ports.first, d.ports.last, d.host)
}

func (d *program) free(port int) (int, bool) {
	listener, err := net.Listen("tcp", net.JoinHostPort(d.host, strconv.Itoa(port)))
	if err != nil {
		return 0, false
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, true
}

// number reads a file that holds one.
func (f folder) number(name string) (int, error) {
	data, err := os.ReadFile(f.path(name))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0, fmt.Errorf("%s: expected a number: %w", f.path(name), err)
	}
	return n, nil
}

// write writes a file whole or not at all.
func (f folder) write(name, text string) error {
	temporary := f.path(name + ".tmp")
	if err := os.WriteFile(temporary, []byte(text+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, f.path(name))
}

// touch notes that something was now, by a file's time.
func (f folder) touch(name string) error {
	now := time.Now()
	if err := os.Chtimes(f.path(name), now, now); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.write(name, "")
}
