package config

import (
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Validate says everything that is wrong with the configuration.
func (c Config) Validate() error { return c.validate(nil) }

func (c Config) validate(sources Sources) error {
	v := check{place: func(path string) string { return sources[path] }}
	v.positive(reflect.ValueOf(&c).Elem())
	v.wants("bus.url", natsURL(c.Bus.URL), "nats://host:port, comma separated")
	v.noPassword("bus.url", c.Bus.URL, "name a file with the credentials: bus.creds_file")
	v.oneOf("bus.replicas", fmt.Sprint(c.Bus.Replicas), "1", "3", "5")
	v.tokens("bus.kinds", c.Bus.Kinds)
	v.tokens("bus.rankers", c.Bus.Rankers)
	v.tokens("bus.judges", c.Bus.Judges)
	v.wants("bus.creds_file", c.Bus.CredsFile == "" || c.Bus.NKeyFile == "", "one of bus.nkey_file and bus.creds_file, not both")
	v.wants("bus.key_file", (c.Bus.CertFile == "") == (c.Bus.KeyFile == ""), "bus.cert_file and bus.key_file together")
	v.wants("blob.url", blobURL(c.Blob.URL), "s3://bucket/prefix or file:///directory")
	v.wants("blob.endpoint", c.Blob.Endpoint == "" || httpURL(c.Blob.Endpoint), "http://host:port or https://host, or nothing for AWS")
	v.noPassword("blob.endpoint", c.Blob.Endpoint, "put the keys into files: blob.access_key_file, blob.secret_key_file")
	v.cache(c.Search.Cache)
	v.tokens("rank.rankers", c.Rank.Rankers)
	v.wants("bridge.host", c.Bridge.Host != "", "a name or address of this machine, such as 127.0.0.1")
	_, _, ok := c.Bridge.PortRange()
	v.wants("bridge.ports", ok, "a range such as 8000-8099, or nothing for any port that is free")
	v.tokens("evaluator.judges", c.Evaluator.Judges)
	v.wants("http.listen", c.HTTP.Listen == "" || hostPort(c.HTTP.Listen), "host:port, or nothing for none")
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "", "text", "json")
	v.wants("up.bus", hostPort(c.Up.Bus), "host:port")
	v.wants("up.pocket", c.Up.Pocket == "off" || hostPort(c.Up.Pocket), `host:port, or "off"`)
	return v.wrong.err()
}

// check collects problems; place says where a setting comes from.
type check struct {
	place func(path string) string
	wrong problems
}

func (v *check) add(path, problem, fix string) {
	v.wrong.add(&Error{Place: v.place(path), Key: path, Problem: problem, Fix: fix})
}

func (v *check) wants(path string, ok bool, want string) {
	if !ok {
		v.add(path, "want "+want, "")
	}
}

func (v *check) oneOf(path, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	names := slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" })
	problem := fmt.Sprintf("unknown value %q", value)
	if meant := nearest(value, names); meant != "" && value != "" {
		problem += fmt.Sprintf("; did you mean %q?", meant)
	}
	v.add(path, problem, "use one of: "+strings.Join(names, ", "))
}

func (v *check) tokens(path string, names []string) {
	for i, name := range names {
		if !IsToken(name) {
			v.add(path, fmt.Sprintf("%q is no name", name), fmt.Sprintf("use a-z, 0-9 and dashes, such as %s", Token(name)))
		}
		if slices.Contains(names[:i], name) {
			v.add(path, fmt.Sprintf("%q is named twice", name), "name it once")
		}
	}
}

// mayBeZero tells the numbers for which zero is a setting too.
func mayBeZero(path string) bool {
	return path == "up.pocket_seed" || strings.HasSuffix(path, ".drain")
}

// positive checks that numbers and times are greater than zero, where zero means nothing.
func (v *check) positive(config reflect.Value) {
	for _, s := range leaves(config, "") {
		if !s.value.CanInt() || s.value.Int() > 0 || mayBeZero(s.path) && s.value.Int() == 0 {
			continue
		}
		want := "want a number greater than 0, not " + show(s.value)
		if s.value.Type() == reflect.TypeFor[time.Duration]() {
			want = "want a time greater than 0, not " + show(s.value)
		}
		v.add(s.path, want, "")
	}
}

func natsURL(text string) bool {
	for part := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return false
		}
	}
	return true
}

func blobURL(text string) bool {
	scheme, rest, ok := strings.Cut(text, "://")
	return ok && rest != "" && (scheme == "s3" || scheme == "file")
}

func httpURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func hostPort(text string) bool {
	_, port, err := net.SplitHostPort(text)
	return err == nil && port != ""
}

// PortRange is the ports of Ports, 0 and 0 for any; ok is false for what is no range.
func (b Bridge) PortRange() (first, last int, ok bool) {
	if b.Ports == "" {
		return 0, 0, true
	}
	from, to, both := strings.Cut(b.Ports, "-")
	if !both {
		to = from
	}
	const bits = 16
	low, err := strconv.ParseUint(from, 10, bits)
	if err != nil || low == 0 {
		return 0, 0, false
	}
	high, err := strconv.ParseUint(to, 10, bits)
	return int(low), int(high), err == nil && high >= low
}
