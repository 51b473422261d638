package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
)

// The keys that roles are given by file are in no log, message, blob, file, metric or setting, although the endpoint
// quotes its key in errors and the log tells everything.
func TestSecrets(t *testing.T) {
	long(t)
	apiKey := "sk-e2e/" + rand.Text() + "+=" + rand.Text()
	secrets := newSecrets(apiKey)
	var blobs []string
	if program := os.Getenv(minioEnv); program != "" {
		server, keys := startMinIO(t, program)
		blobs = append(keys, "endpoint: "+server)
		for _, line := range keys {
			if _, file, ok := strings.Cut(line, "_key_file: "); ok {
				secrets.add(t, file)
			}
		}
	}
	trainer, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := site{dir: t.TempDir(), bus: freeAddress(t), models: models(), trainer: trainer, key: apiKey}.write(t, blobs...)
	s.course.quotes = 40 // enough that calls fail for good, and their errors travel

	all := []*process{newCast(t, s).bus[0].process}
	addresses := map[string]string{}
	for _, role := range []string{"coordinator", "rollout-worker", "rank-worker", "trainer-bridge", "evaluator"} {
		addresses[role] = freeAddress(t)
		all = append(all, start(t, s.config, role, "--set", "log.level=debug", "--set", "http.listen="+addresses[role]))
	}
	s.submit(t)
	conn := s.connect(t)
	s.finish(t, conn)

	for role, address := range addresses {
		secrets.absent(t, "/metrics of "+role, metrics(t, address))
	}
	for _, args := range [][]string{
		{"config", "show"},
		{"config", "show", "-o", "json"},
		{"config", "show", "-o", "yaml"},
		{"status", runName, "-o", "json"},
		{"report", runName, "-o", "json"},
		{"dead", "list", "-o", "json"},
		{"status", "--set", "llm.key_file=" + s.dir},
	} {
		out, _ := ratchet(t, s.config, args...) // the last one is an error, which may say no more
		secrets.absent(t, fmt.Sprintf("what ratchet %q prints", args), out)
	}
	s.scanBus(t, conn, secrets)
	s.scanBlobs(t, secrets)
	secrets.absent(t, "the run's archive", s.exported(t))
	conn.Close()
	for i := range all {
		p := all[len(all)-1-i] // the server last
		p.stop(syscall.SIGTERM, 20*time.Second)
		if log := p.said.whole(); len(log) == 0 {
			t.Errorf("%s has said nothing", p.name)
		} else {
			secrets.absent(t, "the log of "+p.name, log)
		}
	}
	quoted := 0
	for _, p := range all {
		quoted += bytes.Count(p.said.whole(), []byte("Incorrect API key"))
	}
	if quoted == 0 {
		t.Error("no log quotes the endpoint's refusal: this test shows nothing")
	}
	found := s.scanFiles(t, secrets)
	if len(found) != 1 || found[0] != "key" {
		t.Errorf("of the installation's files %q hold a secret, want only the key's own", found)
	}
	t.Logf("%d logs (%d of their lines quote the endpoint's refusal), %d forms of %d secrets", len(all), quoted, len(secrets.forms), secrets.count)
}

// exported is the run's archive, unpacked.
func (s site) exported(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.ratchet")
	if out, err := ratchet(t, s.config, "export", runName, "-f", path); err != nil {
		t.Fatalf("export: %v\n%s", err, out)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := zstd.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer unzipped.Close()
	data, err := io.ReadAll(unzipped)
	if err != nil || len(data) < 100<<10 {
		t.Fatalf("an archive of %d bytes: %v", len(data), err)
	}
	return data
}

// scanBus reads every message of every stream and bucket.
func (s site) scanBus(t *testing.T, conn *bus.Conn, secrets *secrets) {
	t.Helper()
	streams, err := conn.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	messages := 0
	for _, stream := range streams {
		if stream.Name == bus.Tasks {
			continue // a work queue, which is empty; its files are scanned too
		}
		for m, err := range conn.Read(t.Context(), stream.Name) {
			if err != nil {
				t.Fatalf("%s: %v", stream.Name, err)
			}
			messages++
			what := fmt.Sprintf("message %d of %s", m.Seq, stream.Name)
			secrets.absent(t, what, m.Data)
			secrets.absent(t, what, []byte(m.Subject))
			for _, header := range []string{
				bus.HeaderID, bus.HeaderTraceparent, bus.HeaderRun, bus.HeaderKind, bus.HeaderOutcome, bus.HeaderContent,
			} {
				secrets.absent(t, what, []byte(m.Get(header)))
			}
		}
	}
	if len(streams) < 12 || messages < 100 {
		t.Errorf("%d messages in %d streams: is that the whole run?", messages, len(streams))
	}
}

func (s site) scanBlobs(t *testing.T, secrets *secrets) {
	t.Helper()
	_, blobs := s.load(t)
	n := 0
	for object, err := range blobs.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		data, err := blob.ReadAll(t.Context(), blobs, object.Key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		n++
		secrets.absent(t, "blob "+object.Key, data)
	}
	if n < 5 {
		t.Errorf("%d blobs: is that the whole run?", n)
	}
}

// scanFiles is the files of the installation that hold a secret: streams, blobs, indexes, jobs and checkpoints.
func (s site) scanFiles(t *testing.T, secrets *secrets) (found []string) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if secrets.in(data) != "" {
			name, _ := filepath.Rel(s.dir, path)
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// metrics is what a role's server says at /metrics.
func metrics(t *testing.T, address string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil || len(text) == 0 {
		t.Fatalf("%d bytes of metrics, %v", len(text), err)
	}
	return text
}

// secrets is the forms in which secrets might show.
type secrets struct {
	forms map[string][]byte // by what they are called in a failure
	count int
}

func newSecrets(texts ...string) *secrets {
	s := &secrets{forms: map[string][]byte{}}
	for _, text := range texts {
		s.secret(text)
	}
	return s
}

// add adds the secret in a file.
func (s *secrets) add(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.secret(string(text))
}

func (s *secrets) secret(text string) {
	s.count++
	form := func(name, text string) { s.forms[fmt.Sprintf("secret %d, %s", s.count, name)] = []byte(text) }
	form("plain", text)
	form("url-escaped", url.QueryEscape(text))
	form("path-escaped", url.PathEscape(text))
	form("hex", hex.EncodeToString([]byte(text)))
	quoted, _ := json.Marshal(text) // a string always can be
	form("JSON", strings.Trim(string(quoted), `"`))
	for shift := range 3 { // base64 of a longer text, wherever the secret begins in it
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			encoded := encoding.EncodeToString(append(make([]byte, shift), text...))
			form(fmt.Sprintf("%s+%d", name, shift), encoded[4:len(encoded)-4])
		}
	}
}

// in is the form in which a secret is in the data; empty if none is.
func (s *secrets) in(data []byte) string {
	for name, form := range s.forms {
		if bytes.Contains(data, form) {
			return name
		}
	}
	return ""
}

func (s *secrets) absent(t *testing.T, where string, data []byte) {
	t.Helper()
	if form := s.in(data); form != "" {
		t.Errorf("%s holds a secret (%s)", where, form)
	}
}
