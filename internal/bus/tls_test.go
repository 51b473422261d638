package bus_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// authority is a private certificate authority.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{t: t, dir: t.TempDir(), key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a private authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.issue("ca", a.cert)
	return a
}

// issue writes name.pem and name.key, signed by the authority.
func (a authority) issue(name string, cert *x509.Certificate) (certFile, keyFile string) {
	a.t.Helper()
	key := a.key
	if !cert.IsCA {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			a.t.Fatal(err)
		}
	}
	signed, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", signed), a.write(name+".key", "EC PRIVATE KEY", secret)
}

func (a authority) write(name, kind string, data []byte) string {
	a.t.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

func (a authority) caFile() string { return filepath.Join(a.dir, "ca.pem") }

// TestTLS: a server with a certificate of a private authority, which wants one of its clients too.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t), newAuthority(t)
	serverCert, serverKey := ca.issue("server", &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
	clientCert, clientKey := ca.issue("client", &x509.Certificate{SerialNumber: big.NewInt(3), NotAfter: time.Now().Add(time.Hour)})
	if _, err := bus.WriteUsers(ca.dir, config.Default()); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(ca.dir, "nats.conf")
	text := fmt.Sprintf("include %q\ntls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }\n", bus.UsersFile, serverCert, serverKey, ca.caFile())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := devstack.StartGuarded(t.TempDir(), "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	right := devstack.TestConfig(strings.Replace(server.URL(), "tls://", "nats://", 1))
	right.NKeyFile, right.CAFile, right.CertFile, right.KeyFile = bus.SeedFile(ca.dir, "{role}"), ca.caFile(), clientCert, clientKey

	with := func(change func(*config.Bus)) config.Bus { cfg := right; change(&cfg); return cfg }
	for name, c := range map[string]struct {
		cfg  config.Bus
		want string
	}{
		"right":                 {right, ""},
		"no authority":          {with(func(c *config.Bus) { c.CAFile = "" }), "bus.ca_file"},
		"another authority":     {with(func(c *config.Bus) { c.CAFile = stranger.caFile() }), "bus.ca_file"},
		"no authority's file":   {with(func(c *config.Bus) { c.CAFile = filepath.Join(ca.dir, "none") }), "bus.ca_file"},
		"another host":          {with(func(c *config.Bus) { c.URL = strings.Replace(c.URL, "127.0.0.1", "localhost", 1) }), "localhost"},
		"no client certificate": {with(func(c *config.Bus) { c.CertFile, c.KeyFile = "", "" }), "bus.cert_file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			conn, err := bus.Connect(ctx, c.cfg, bus.Options{Role: bus.RoleCoordinator, Log: devstack.TestLog(t)})
			if err == nil {
				defer conn.Close()
				err = conn.Apply(ctx, bus.NewTopology(c.cfg))
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q in an error", err, c.want)
			}
			if ctx.Err() != nil {
				t.Error("it was waited for what cannot come")
			}
		})
	}
}
