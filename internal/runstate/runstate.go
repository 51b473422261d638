// Package runstate is the record of a run's state as it lies in the KV bucket `runs` under <run>.state: JSON
// that a person can read with `nats kv get`. Only the coordinator writes it, by compare-and-swap; the
// operator's command and the bridge read it. The operator's wishes lie apart, under <run>.control.
package runstate

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bucket is the KV bucket of all of this.
const Bucket = "runs"

// State is what the coordinator has decided and counted so far.
type State struct {
	Run string `json:"run"`
	// Phase is plan, baseline, grow, rank, build, train, deploy, evaluate, decide or done.
	Phase      string `json:"phase"`
	Generation int    `json:"generation"`
	// Look is the planned look that evaluate works on, from 1.
	Look int `json:"look"`
	// Cursor counts the shards' slices of questions published in this phase, by target.
	Cursor map[string]int `json:"cursor,omitempty"`
	// Incumbent is the generation that is promoted; Streak counts generations since that were not.
	Incumbent int    `json:"incumbent"`
	Streak    int    `json:"streak"`
	Paused    bool   `json:"paused"`
	Finished  bool   `json:"finished"`
	Reason    string `json:"reason,omitempty"`
	// Pruning: a prune has begun; what is left of the run is no longer whole.
	Pruning bool `json:"pruning,omitempty"`
	// ControlSeen is the serial of the last wish that was acted on.
	ControlSeen int `json:"control_seen,omitempty"`
	// DeadSeen is the last dead letter of a phase's task that a resume has forgiven.
	DeadSeen uint64    `json:"dead_seen,omitempty"`
	Started  time.Time `json:"started"`
	Updated  time.Time `json:"updated"`
	// Entered is when the present phase was entered.
	Entered  time.Time  `json:"entered"`
	Usage    Usage      `json:"usage"`
	Progress []Progress `json:"progress"`
}

// Progress counts one phase's items for one target.
type Progress struct {
	Generation int    `json:"generation"`
	Target     string `json:"target"`
	Purpose    string `json:"purpose"` // grow or eval; build, train and deploy for tasks
	Phase      string `json:"phase"`
	// Expected counts trajectories (grow, evaluate), feedback (rank) or tasks (build, train, deploy).
	Expected  int64            `json:"expected"`
	Completed int64            `json:"completed"`
	Failed    map[string]int64 `json:"failed,omitempty"`
	Dead      int64            `json:"dead,omitempty"`
	// Feedback by ranker and Verdicts so far, recorded reasons included.
	Feedback map[string]int64 `json:"feedback,omitempty"`
	Verdicts int64            `json:"verdicts,omitempty"`
	// Started and Ended of the phase; Ended is zero while it goes on.
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
}

// Usage is what the run has paid for, rankers and judges included.
type Usage struct {
	Calls            int64 `json:"calls"`
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	// CostNano is what they cost at the run's prices, in billionths of their currency.
	CostNano int64 `json:"cost_nano,omitempty"`
}

// Add counts more.
func (u *Usage) Add(more Usage) {
	u.Calls += more.Calls
	u.PromptTokens += more.PromptTokens
	u.CompletionTokens += more.CompletionTokens
	u.CostNano += more.CostNano
}

// Control is what the operator wants of a run.
type Control struct {
	// Want is run, pause or cancel.
	Want   string `json:"want"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
	// Calls, Tokens, Wall and Cost replace the budgets of the spec where they are not zero.
	Calls  int64         `json:"calls,omitempty"`
	Tokens int64         `json:"tokens,omitempty"`
	Wall   time.Duration `json:"wall,omitempty"`
	Cost   float64       `json:"cost,omitempty"`
	// Serial grows with every wish, so that a resume after a dead letter is seen as a new one.
	Serial int `json:"serial"`
}

// Wishes of Control.Want.
const (
	WantRun    = "run"
	WantPause  = "pause"
	WantCancel = "cancel"
)

// Key is where a run's state lies in Bucket.
func Key(run string) string { return run + ".state" }

// SpecKey is where a run's spec lies.
func SpecKey(run string) string { return run + ".spec" }

// ControlKey is where the operator's wish for a run lies.
func ControlKey(run string) string { return run + ".control" }

// PrunedKey is where it is written that a run was pruned.
func PrunedKey(run string) string { return run + prunedSuffix }

const prunedSuffix = ".pruned"

// PrunedOf is the run of such a key; ok is false for any other key.
func PrunedOf(key string) (run string, ok bool) { return strings.CutSuffix(key, prunedSuffix) }

// Pruned is what is kept of a run that was pruned.
type Pruned struct {
	Run string `json:"run"`
	// Spec is the SHA-256 of the run's spec: processes that live remember it by the run's name.
	Spec     string    `json:"spec_sha256"`
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Messages int64     `json:"messages"`
	Blobs    int64     `json:"blobs"`
	// Jobs, Mixtures and Checkpoints are what may lie in the bridge's directory, by the names of their folders.
	Jobs        []string `json:"jobs,omitempty"`
	Mixtures    []string `json:"mixtures,omitempty"`
	Checkpoints []string `json:"checkpoints,omitempty"`
}

// ErrNameUsed means that a name was another run's.
var ErrNameUsed = errors.New("the name was another run's, which was pruned; choose another name")

// Allows says whether a run of this spec may have the name again.
func (p Pruned) Allows(spec []byte) error {
	if p.Spec != SpecHash(spec) {
		return fmt.Errorf("run %s: %w", p.Run, ErrNameUsed)
	}
	return nil
}

// SpecHash is the SHA-256 of a spec's text.
func SpecHash(spec []byte) string { return fmt.Sprintf("%x", sha256.Sum256(spec)) }

// RunOf is the run of a state key; ok is false for any other key.
func RunOf(key string) (run string, ok bool) { return strings.CutSuffix(key, ".state") }

// Marshal prints a record as indented JSON, for people.
func Marshal(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }

// Unmarshal reads a State.
func Unmarshal(data []byte) (State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("decode run state: %w", err)
	}
	return s, nil
}

// Tokens in all.
func (u Usage) Tokens() int64 { return u.PromptTokens + u.CompletionTokens }
