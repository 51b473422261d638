package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// programs is the folder of the built programs.
var programs string

// trainWord as the first argument makes this program a trainer; see train.
const trainWord = "train"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == trainWord {
		os.Exit(train(os.Args[2:]))
	}
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	os.Exit(withPrograms(m.Run))
}

// builtPrograms are tested instead of what the source makes.
var builtPrograms = flag.String("programs", "", "folder of the programs to test; empty: build them")

// withPrograms builds the roles, the command and the stand-alone nats-server, for as long as run takes.
func withPrograms(run func() int) int {
	if programs = *builtPrograms; programs != "" {
		return run()
	}
	dir, err := os.MkdirTemp("", "ratchet-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator),
		"./coordinator", "./rollout-worker", "./rank-worker", "./trainer-bridge", "./evaluator", "./ratchet",
		"github.com/nats-io/nats-server/v2")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
		return 1
	}
	return run()
}

// long leaves a test out of `go test -short`. These tests do not run beside each other: what they measure is time.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the built programs, for a minute; leave out -short")
	}
}
