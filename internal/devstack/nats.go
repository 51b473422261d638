package devstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ratchet-rl/ratchet/internal/bus"
)

const (
	readyTimeout = 30 * time.Second
	// maxStore bounds JetStream on disk; the server's default is most of the disk.
	maxStore   = 50 << 30
	maxPayload = 1 << 20
)

// Server is an embedded nats-server.
type Server struct{ nats *server.Server }

// StartNATS starts a server that asks nobody who they are, with its data under dir. A port of 0 takes a free one.
func StartNATS(dir, addr string) (*Server, error) { return start(dir, addr, "") }

// StartGuarded starts a server with the users, and whatever else of nats-server's configuration, of a file.
func StartGuarded(dir, addr, conf string) (*Server, error) {
	if err := adopt(dir); err != nil {
		return nil, err
	}
	return start(dir, addr, conf)
}

// adopt hands the streams of a server without users to the account that has them where there are users.
func adopt(dir string) error {
	ownerless, owned := filepath.Join(dir, "jetstream", "$G"), filepath.Join(dir, "jetstream", bus.Account)
	if _, err := os.Stat(ownerless); err != nil {
		return nil
	}
	if _, err := os.Stat(owned); err == nil {
		return nil
	}
	if err := os.Rename(ownerless, owned); err != nil {
		return fmt.Errorf("give the bus's store to account %s: %w", bus.Account, err)
	}
	return nil
}

func start(dir, addr, conf string) (*Server, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the bus's folder: %w", err)
	}
	if err := portFree(addr); err != nil {
		return nil, err
	}
	options := &server.Options{
		ServerName: "ratchet", Host: host, Port: port, JetStream: true, StoreDir: filepath.Clean(dir), SyncAlways: true,
		NoSigs: true, NoLog: true, JetStreamMaxStore: maxStore, MaxPayload: maxPayload,
	}
	if conf != "" {
		if err := options.ProcessConfigFile(conf); err != nil {
			return nil, fmt.Errorf("configure the embedded nats-server: %w", err)
		}
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("configure the embedded nats-server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(readyTimeout) {
		s.Shutdown()
		return nil, fmt.Errorf("embedded nats-server at %s not ready in %s; is %s writable and not full?", addr, readyTimeout, dir)
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		return nil, fmt.Errorf("embedded nats-server could not start JetStream in %s", dir)
	}
	return &Server{nats: s}, nil
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("bus address %q: want host:port: %w", addr, err)
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		return "", 0, fmt.Errorf("bus address %q: port: %w", addr, err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// portFree says what is wrong before the server does it in a log that nobody reads.
func portFree(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("bus address %s is taken (%w); stop what listens there or set up.bus to another", addr, errors.Unwrap(err))
	}
	return l.Close()
}

const (
	// healthEvery is how often Watch asks.
	healthEvery = time.Second
	// sickTimes in a row is what counts: the server gives its own answer a millisecond, and on a busy machine one is late
	// now and then.
	sickTimes = 3
)

// Watch returns when ctx ends, or with the reason once the server can no longer write. A stream that could not write
// once, on a full disk for instance, refuses without a reply until the server is started anew: nats-server's own
// choice, so that nothing is acknowledged that is not on the disk.
func (s *Server) Watch(ctx context.Context) error {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for sick := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		health := s.nats.Healthz(&server.HealthzOptions{})
		if health.Error == "" {
			sick = 0
			continue
		}
		if sick++; sick == sickTimes {
			return fmt.Errorf("the embedded nats-server cannot go on: %s; all that it acknowledged is on the disk. "+
				"Free space in %s, then start again: runs go on where they were", health.Error, s.nats.StoreDir())
		}
	}
}

// URL to connect to.
func (s *Server) URL() string { return s.nats.ClientURL() }

// Stop ends the server when all is on disk.
func (s *Server) Stop() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}
