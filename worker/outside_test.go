package worker_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// natsPy is the version that the protocol's page was tried with.
const natsPy = "nats-py[nkeys]==2.16.0"

// outsideBus is a bus that knows the kind shout and lets nobody in without a key, as `ratchet up` makes it; the
// operator's connection, its URL, and where the key of any plug-in is.
func outsideBus(t *testing.T) (ctx context.Context, operator *bus.Conn, url, key string) {
	t.Helper()
	users := t.TempDir()
	if _, err := bus.WriteUsers(users, config.Default()); err != nil {
		t.Fatal(err)
	}
	server, err := devstack.StartGuarded(t.TempDir(), "127.0.0.1:0", filepath.Join(users, bus.UsersFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	cfg := devstack.TestConfig(server.URL())
	cfg.NKeyFile = bus.SeedFile(users, "{role}")
	connect := func(role string) *bus.Conn {
		conn, err := bus.Connect(ctx, cfg, bus.Options{Role: role, Log: devstack.TestLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return conn
	}
	coordinator := connect(bus.RoleCoordinator)
	if err := coordinator.Apply(ctx, bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	if err := coordinator.AddKind(ctx, "shout"); err != nil {
		t.Fatal(err)
	}
	return ctx, connect(bus.RoleOperator), server.URL(), bus.SeedFile(users, bus.RoleWorker)
}

func shoutTask(t *testing.T, id string) *pb.Task {
	t.Helper()
	args, err := structpb.NewStruct(map[string]any{"text": "hi"})
	if err != nil {
		t.Fatal(err)
	}
	return &pb.Task{Id: id, Kind: "shout", Work: &pb.Task_Args{Args: args}}
}

// awaitShout waits for the result of the task and for the task to be off the queue.
func awaitShout(ctx context.Context, t *testing.T, conn *bus.Conn, id string) {
	t.Helper()
	result := firstMessage(ctx, t, conn, bus.Results).GetResult()
	if result.GetTask() != id || result.GetKind() != "shout" || result.GetValue().GetFields()["text"].GetStringValue() != "HI" {
		t.Errorf("got %v, want HI as the result of task %s", result, id)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		depth, err := conn.Depth(ctx, bus.TaskSource("shout"))
		if err != nil {
			t.Fatal(err)
		}
		if depth.Waiting+depth.InFlight == 0 {
			return
		}
		<-tick.C
	}
}

// start runs a program until the test ends; what it prints is in the test's log.
func start(ctx context.Context, t *testing.T, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = t.TempDir()
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // interrupted
	})
}

// A module with another path than ours, compiled and run as a process: nothing that a plug-in needs is internal.
func TestOutsideModule(t *testing.T) {
	t.Parallel()
	ctx, conn, url, key := outsideBus(t)
	program := buildShout(ctx, t)
	start(ctx, t, program, "--set", "bus.url="+url, "--set", "bus.nkey_file="+key, "--set", "blob.url=file://"+t.TempDir())
	if err := conn.PublishTask(ctx, "r", 0, shoutTask(t, "go")); err != nil {
		t.Fatal(err)
	}
	awaitShout(ctx, t, conn, "go")
}

// buildShout compiles testdata/shout as a stranger would, with our module replaced by this folder, and with our
// versions of everything else, so that the module cache suffices.
func buildShout(ctx context.Context, t *testing.T) (program string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyFile(t, filepath.Join("testdata", "shout", "main.go"), filepath.Join(dir, "main.go"))
	copyFile(t, filepath.Join(root, "go.sum"), filepath.Join(dir, "go.sum"))
	ours, theirs := read(t, filepath.Join(root, "go.mod")), read(t, filepath.Join("testdata", "shout", "go.mod"))
	requires := regexp.MustCompile(`(?ms)^require \(.*?^\)`).FindAllString(ours, -1)
	module := theirs + "\nreplace github.com/ratchet-rl/ratchet => " + root + "\n\n" + strings.Join(requires, "\n\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "shout")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build testdata/shout: %v\n%s", err, out)
	}
	return program
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, []byte(read(t, from)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A worker in another language, written by docs/protocol.md: the page suffices.
func TestOutsideLanguage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: no Python environment is made")
	}
	python := pythonWithNATS(t)
	ctx, conn, url, key := outsideBus(t)
	script, err := filepath.Abs(filepath.Join("testdata", "python", "shout.py"))
	if err != nil {
		t.Fatal(err)
	}
	publishJSON(ctx, t, url, filepath.Join(filepath.Dir(key), bus.RoleOperator+".nk"), shoutTask(t, "py"))
	start(ctx, t, python, script, url, key)
	awaitShout(ctx, t, conn, "py")
}

// publishJSON publishes a task as a program without the schema would.
func publishJSON(ctx context.Context, t *testing.T, url, key string, task *pb.Task) {
	t.Helper()
	data, err := protojson.Marshal(&pb.Event{Id: "task.shout.r.0." + task.GetId(), Run: "r", Body: &pb.Event_Task{Task: task}})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := nats.NkeyOptionFromSeed(key)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(url, signed, nats.CustomInboxPrefix("_INBOX_ratchet"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	msg := nats.NewMsg(bus.TaskSubject("shout", "r", 0, task.GetId()))
	msg.Data = data
	msg.Header.Set("Content-Type", "application/json")
	if _, err := nc.RequestMsgWithContext(ctx, msg); err != nil {
		t.Fatalf("publish task: %v", err)
	}
}

// pythonWithNATS is the interpreter of a virtual environment with nats-py, kept between test runs.
func pythonWithNATS(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not there: install it to run the worker in Python")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no place for a Python environment: %v", err)
	}
	venv := filepath.Join(cache, "ratchet", "python-"+strings.NewReplacer("==", "-", "[", "-", "]", "").Replace(natsPy))
	inside := filepath.Join(venv, "bin", "python")
	if exec.Command(inside, "-c", "import nats, nkeys").Run() == nil {
		return inside
	}
	for _, args := range [][]string{{python, "-m", "venv", venv}, {inside, "-m", "pip", "install", "--quiet", natsPy}} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		cancel()
		if err != nil {
			t.Skipf("cannot make a Python environment with %s (`%s`: %v); a package index must be within reach:\n%s", natsPy, strings.Join(args, " "), err, out)
		}
	}
	return inside
}
