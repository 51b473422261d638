package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The roles as processes of their own, each with its key, over a stand-alone nats-server and a directory, give what
// `ratchet up` gives.
func TestProcesses(t *testing.T) {
	long(t)
	s := newSite(t)
	users := filepath.Join(s.dir, "users")
	if out, err := ratchet(t, s.config, "auth", "init", users); err != nil {
		t.Fatalf("auth init: %v\n%s", err, out)
	}
	configured, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	keyed := strings.Replace(string(configured), "bus: {", fmt.Sprintf("bus: {nkey_file: %q, ", filepath.Join(users, "{role}.nk")), 1)
	write(t, s.config, keyed)
	apart(t, s)
}

// minioEnv is the path of a MinIO server's program.
const minioEnv = "RATCHET_MINIO"

// The same over an S3 server, and a bus that is open to all.
func TestProcessesS3(t *testing.T) {
	long(t)
	program := os.Getenv(minioEnv)
	if program == "" {
		t.Skip("no " + minioEnv + ": run `make test-s3`")
	}
	server, keys := startMinIO(t, program)
	apart(t, newSite(t, append(keys, "endpoint: "+server)...))
}

// apart runs a site's roles as processes and compares the outcome.
func apart(t *testing.T, s site) {
	want, plain := reference(t)
	roles := newCast(t, s,
		"coordinator", "rollout-worker", "rollout-worker", "rollout-worker", "rank-worker", "rank-worker", "trainer-bridge", "evaluator")
	s.submit(t)
	conn, begin := s.connect(t), time.Now()
	s.finish(t, conn)
	t.Logf("%d processes: %v in %v", len(roles.players), s.course, time.Since(begin).Round(time.Millisecond))
	same(t, want, s.outcome(t, conn))
	s.course.checkJobs(t)
	s.course.checkReturns(t)
	if got, want := s.course.String(), plain.String(); got != want {
		t.Errorf("%s; want %s, as undisturbed", got, want)
	}
	roles.stop(roles.players...)
}

// startMinIO returns the server's URL, and as lines of the section blob what else is needed.
func startMinIO(t *testing.T, program string) (server string, lines []string) {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	access, secret := rand.Text(), rand.Text()
	write(t, filepath.Join(dir, "access"), access)
	write(t, filepath.Join(dir, "secret"), secret)
	startProgram(t, []string{"MINIO_ROOT_USER=" + access, "MINIO_ROOT_PASSWORD=" + secret, "MINIO_BROWSER=off"},
		program, "server", "--quiet", "--address", address, filepath.Join(dir, "data"))
	eventually(t, "MinIO", time.Minute, func() bool {
		reply, err := http.Get("http://" + address + "/minio/health/ready")
		if err != nil {
			return false
		}
		defer reply.Body.Close()
		return reply.StatusCode == http.StatusOK
	})
	return "http://" + address, []string{
		"url: s3://ratchet",
		"access_key_file: " + filepath.Join(dir, "access"), "secret_key_file: " + filepath.Join(dir, "secret"),
	}
}
