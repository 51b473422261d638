package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ratchet-rl/ratchet/internal/config"
)

const (
	reconnectWait  = 500 * time.Millisecond
	pingInterval   = 20 * time.Second // the default of 2 min notices a dead link late
	requestTimeout = 10 * time.Second
	closeTimeout   = 30 * time.Second
	// trustPatience lets each of several servers be tried.
	trustPatience = 3 * time.Second
)

// Blobs is where events go that are too large for a message.
type Blobs interface {
	PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) (created bool, err error)
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	URI(key string) string
	Key(uri string) (string, error)
}

// Options of a connection.
type Options struct {
	// Role names the connection and its inbox, so that roles cannot read each other's replies.
	Role  string
	Log   *slog.Logger
	Blobs Blobs
	// Metrics is where the connection's counters are registered; nil for nowhere.
	Metrics prometheus.Registerer
}

// Conn is a role's connection.
type Conn struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	cfg      config.Bus
	role     string
	producer string
	log      *slog.Logger
	blobs    Blobs
	metrics  *metrics
	denials  denials
	link     link
	closed   chan struct{}

	streams sync.Map // name -> jetstream.Stream, bound
	buckets sync.Map // name -> jetstream.KeyValue, bound
}

// Connect waits until the servers are there, or ctx ends. Credentials that the server refuses are an error at once.
func Connect(ctx context.Context, cfg config.Bus, o Options) (*Conn, error) {
	host, _ := os.Hostname()
	c := &Conn{
		cfg: cfg, role: o.Role, log: o.Log, blobs: o.Blobs, metrics: newMetrics(o.Metrics), closed: make(chan struct{}),
		producer: fmt.Sprintf("%s/%s/%d", o.Role, host, os.Getpid()),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(cfg.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w; check the files of bus.nkey_file, bus.creds_file, bus.ca_file and bus.cert_file", cfg.URL, err)
	}
	c.nc = nc
	if err := c.awaitConnected(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	c.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(requestTimeout))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return c, nil
}

func (c *Conn) options() ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name(c.producer),
		nats.CustomInboxPrefix(inboxPrefix(c.role)),
		nats.MaxReconnects(-1), // the default gives up after two minutes, and the process lives on deaf
		nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, time.Second),
		nats.PingInterval(pingInterval),
		nats.DrainTimeout(closeTimeout),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
		nats.DisconnectErrHandler(c.onDisconnect),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			c.denials.reconnected()
			c.log.Info("bus connected", "server", nc.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(c.onError),
	}
	if c.cfg.NKeyFile != "" {
		file := strings.ReplaceAll(c.cfg.NKeyFile, "{role}", c.role)
		signed, err := nats.NkeyOptionFromSeed(file)
		if err != nil {
			return nil, fmt.Errorf("bus.nkey_file of role %s: %w; `ratchet auth init` makes one for each role", c.role, err)
		}
		options = append(options, signed)
	}
	if c.cfg.CredsFile != "" {
		options = append(options, nats.UserCredentials(c.cfg.CredsFile))
	}
	if c.cfg.CAFile != "" {
		options = append(options, nats.RootCAs(c.cfg.CAFile))
	}
	if c.cfg.CertFile != "" {
		options = append(options, nats.ClientCert(c.cfg.CertFile, c.cfg.KeyFile))
	}
	return options, nil
}

func (c *Conn) awaitConnected(ctx context.Context) error {
	begun, said := time.Now(), time.Now()
	for !c.nc.IsConnected() {
		if hint := distrust(c.nc.LastError()); hint != "" && time.Since(begun) > trustPatience {
			return fmt.Errorf("connect to NATS at %s: %w; %s", c.cfg.URL, c.nc.LastError(), hint)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for NATS at %s: %w; start a nats-server there or set bus.url", c.cfg.URL, ctx.Err())
		case <-c.closed:
			return fmt.Errorf("connect to NATS at %s: %w; see bus.nkey_file and bus.creds_file", c.cfg.URL, c.nc.LastError())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(said) > 5*time.Second {
			c.log.Warn("waiting for the bus", "url", c.cfg.URL, "error", c.nc.LastError())
			said = time.Now()
		}
	}
	return nil
}

// distrust is what to do about an error if client or server does not trust the other's certificate, which waiting does
// not mend.
func distrust(err error) string {
	var remote *net.OpError
	switch {
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "set bus.ca_file to the authority of the servers' certificates, and bus.url to a name in them"
	case errors.As(err, &remote) && remote.Op == "remote error":
		return "the server wants another certificate of us: set bus.cert_file and bus.key_file"
	}
	return ""
}

func (c *Conn) onDisconnect(_ *nats.Conn, err error) {
	c.link.broken()
	if err != nil { // nil when we close it ourselves
		c.log.Warn("bus disconnected", "error", err)
	}
}

func (c *Conn) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		c.denials.note(err)
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	c.log.Warn("bus error", "error", err, "subject", subject)
}

// explain adds the server's reason to an error that looks like a timeout.
func (c *Conn) explain(err error) error {
	if err == nil || !isTimeout(err) {
		return err
	}
	if reason := c.denials.recent(); reason != nil {
		return fmt.Errorf("%w: %w (%w)", ErrDenied, reason, err)
	}
	return err
}

// URL is where the bus is.
func (c *Conn) URL() string { return c.cfg.URL }

// Healthy is nil while the connection is up.
func (c *Conn) Healthy() error {
	if c.nc.IsConnected() {
		return nil
	}
	return fmt.Errorf("bus at %s: %s", c.cfg.URL, c.nc.Status())
}

// isClosed: the connection is gone for good, by Close or because the server no longer accepts the credentials.
func (c *Conn) isClosed() error {
	if !c.nc.IsClosed() {
		return nil
	}
	if err := c.nc.LastError(); err != nil {
		return fmt.Errorf("the bus at %s is closed for this process: %w", c.cfg.URL, err)
	}
	return fmt.Errorf("the bus at %s is closed for this process", c.cfg.URL)
}

// Abort ends the connection as a crash does: nothing that is done from now on reaches the bus. For tests of crashes.
func (c *Conn) Abort() { c.nc.Close() }

// Close flushes, drains and waits until the connection is closed. Work in flight must have ended before:
// draining only waits for callbacks.
func (c *Conn) Close() {
	if err := c.nc.Drain(); err != nil {
		c.nc.Close()
	}
	select {
	case <-c.closed:
	case <-time.After(closeTimeout):
		c.nc.Close()
	}
}
