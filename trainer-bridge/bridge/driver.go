package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// driver has a model trained.
type driver interface {
	// Train returns once the job has finished, and the folder that it left the model in. A job is known by its
	// name: one that runs already is waited for, one that has finished is not run again, whoever started it.
	// report is called from one goroutine. When ctx ends a job on this machine is stopped. Errors that no repetition could
	// mend are worker.Permanent.
	Train(ctx context.Context, j job, report func(progress)) (out string, err error)
}

// drivers are those that there are, by their name in the run's file.
type drivers map[string]driver

// of is the driver of a target.
func (d drivers) of(name string) (driver, error) {
	if found := d[name]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("targets.driver is %q; expected %s", name, strings.Join(slices.Sorted(maps.Keys(d)), ", "))
}

// job is one training of one target on one mixture.
type job struct {
	// name derives from everything that could change the model: the same job has the same name in every process.
	name       string
	target     config.Target
	seed       uint64
	generation int
	// manifest is the local path of the mixture's manifest; its parts lie beside it.
	manifest string
}

func newJob(mixture *pb.Mixture, target config.Target, seed uint64, generation int, manifest string) (job, error) {
	parts := []any{mixture.GetManifestSha256(), target.Name, target.Base, target.Driver, target.Command, seed}
	if target.Kubernetes != nil { // only then: jobs named before there was a choice keep their names
		parts = append(parts, target.Kubernetes)
	}
	if target.Endpoint != "" {
		parts = append(parts, target.Endpoint)
	}
	identity, err := json.Marshal(parts)
	if err != nil {
		return job{}, fmt.Errorf("name training job: %w", err)
	}
	sum := sha256.Sum256(identity)
	name := target.Name + "-" + hex.EncodeToString(sum[:8])
	return job{name: name, target: target, seed: seed, generation: generation, manifest: manifest}, nil
}

// argv is the target's command with its braces filled in.
func (j job) argv(out string) []string {
	fill := strings.NewReplacer(
		"{base}", j.target.Base, "{manifest}", j.manifest, "{out}", out, "{target}", j.target.Name,
		"{seed}", strconv.FormatUint(j.seed, 10), "{generation}", strconv.Itoa(j.generation),
	)
	argv := make([]string, len(j.target.Command))
	for i, arg := range j.target.Command {
		argv[i] = fill.Replace(arg)
	}
	return argv
}

func (j job) timeout() time.Duration { return time.Duration(j.target.Timeout) }

// progress is one line of a trainer's standard output. Lines that are not such JSON are kept in the job's log
// and otherwise ignored.
type progress struct {
	Done    int64   `json:"done"`
	Total   int64   `json:"total"`
	Loss    float64 `json:"loss"`
	Message string  `json:"message"`
}
