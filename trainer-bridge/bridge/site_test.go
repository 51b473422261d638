package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const (
	// serveWord, as the first argument, makes the test binary a model server: see serveModel.
	serveWord = "serve-a-model"
	// deployDirectory, when set, makes the test binary a bridge that deploys one checkpoint in that directory: see
	// TestServerIsAdopted, which kills it.
	deployDirectory = "RATCHET_TEST_DEPLOY_DIRECTORY"
)

// serveModel is a model server: host, port, model, the checkpoint's folder and a directory of its test, where it notes
// that it was started. It is ready once the file `ready` is there, and serves the content of the checkpoint at /content.
func serveModel(args []string) {
	host, port, model, path, directory := args[0], args[1], args[2], args[3], args[4]
	starts, err := os.OpenFile(filepath.Join(directory, "starts"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(starts, os.Getpid())
	}
	listener, errListen := net.Listen("tcp", net.JoinHostPort(host, port))
	if err := errors.Join(err, errListen); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "loading the weights")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(filepath.Join(directory, "ready")); err != nil {
			http.Error(w, "loading", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"object":"list","data":[{"id":%q,"object":"model"}]}`, model)
	})
	mux.HandleFunc("GET /content", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(path, "adapter"))
	})
	_ = http.Serve(listener, mux)
	os.Exit(0)
}

// deployFor deploys the checkpoint that lies in directory until it is ready, says so, and stays.
func deployFor(directory string) {
	blobs, err := blob.Open(context.Background(), config.Blob{URL: "file://" + directory + "/blobs", Timeout: time.Minute})
	if err != nil {
		panic(err)
	}
	var c pb.Checkpoint
	data, err := os.ReadFile(filepath.Join(directory, "checkpoint"))
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		panic(err)
	}
	d := newTestProgram(shelf{blobs: blobs, directory: directory}, slog.New(slog.DiscardHandler))
	for {
		_, err := d.Ensure(context.Background(), serverOrder(directory, &c))
		switch {
		case err == nil:
			fmt.Println("ready")
			_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
		case !isNotYet(err):
			panic(err)
		default:
			fmt.Println("starting")
			<-time.After(20 * time.Millisecond)
		}
	}
}

func newTestProgram(s shelf, log *slog.Logger) *program {
	probe := probe{lister{}, &http.Client{Timeout: 5 * time.Second}}
	d, err := newProgram(config.Bridge{Host: "127.0.0.1"}, s.directory, s, probe, log)
	if err != nil {
		panic(err)
	}
	d.grace = 2 * time.Second
	return d
}

func testProgram(t testing.TB, s shelf) *program {
	d := newTestProgram(s, devstack.TestLog(t))
	t.Cleanup(func() {
		if err := d.StopAll(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func serverOrder(directory string, c *pb.Checkpoint) order {
	return order{generation: 1, checkpoint: c, deploy: config.Deploy{
		Deployer: config.DeployerCommand,
		Command:  []string{os.Args[0], serveWord, "{host}", "{port}", "{model}", "{path}", directory},
	}}
}

// site is a checkpoint, and the program that serves it.
type site struct {
	testing.TB

	directory string
	program   *program
	order     order
}

func newSite(t *testing.T) *site {
	t.Helper()
	directory := t.TempDir()
	blobs, err := blob.Open(t.Context(), config.Blob{URL: "file://" + directory + "/blobs", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{TB: t, blobs: blobs}
	c := b.putCheckpoint(1)
	s := shelf{blobs: blobs, directory: directory}
	return &site{TB: t, directory: directory, program: testProgram(t, s), order: serverOrder(directory, c)}
}

// loaded lets the server answer.
func (s *site) loaded() { s.write("ready", "") }

func (s *site) write(name, text string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.directory, name), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// pids are the servers that were started so far.
func (s *site) pids() []int {
	data, _ := os.ReadFile(filepath.Join(s.directory, "starts"))
	var pids []int
	for line := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			s.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// ensure asks until the order is served.
func (s *site) ensure() served {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
		served, err := s.program.Ensure(s.Context(), s.order)
		if err == nil {
			return served
		}
		if !isNotYet(err) || time.Now().After(deadline) {
			s.Fatal(err)
		}
	}
}

// fails asks until it is told something else than notYet.
func (s *site) fails() error {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
		_, err := s.program.Ensure(s.Context(), s.order)
		if err == nil || !isNotYet(err) {
			return err
		}
		if time.Now().After(deadline) {
			s.Fatal(err)
		}
	}
}

// lives tells whether a process of the order's server does.
func (s *site) lives() bool {
	lock, err := s.program.folder(s.program.Name(s.order)).lock()
	if err == nil {
		_ = lock.Close()
	}
	return errors.Is(err, errLocked)
}
