package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// ErrUnfinished means that a run goes on, or is being imported.
var ErrUnfinished = errors.New("the run is not finished")

// models is the bucket of promoted policies.
const models = "models"

func promotedKey(run string) string { return "promoted." + run }

// Plan is what would go with a run.
type Plan struct {
	Run string `json:"run"`
	// Messages by stream, and their bytes.
	Messages map[string]int64 `json:"messages"`
	Bytes    int64            `json:"bytes"`
	Blobs    int64            `json:"blobs"`
	// BlobBytes are the bytes of the blobs.
	BlobBytes int64 `json:"blob_bytes"`
	// Kept are checkpoints that another run refers to.
	Kept []string `json:"kept"`
	// Promoted is the generation that was promoted last, -1 if there is none.
	Promoted int `json:"promoted"`

	keys    []string // of the blobs
	pruned  runstate.Pruned
	state   []byte // nil if there is none
	current uint64 // its revision
}

// Total counts the messages.
func (p Plan) Total() (n int64) {
	for _, m := range p.Messages {
		n += m
	}
	return n
}

// streams that hold messages of runs; tasks first, so that nobody begins what is going.
var streams = []string{
	bus.Tasks, bus.Steps, bus.Feedback, bus.Verdicts, bus.Results, bus.Training, bus.Evals, bus.Runs, bus.Dead, bus.Trajectories,
}

// Pruner prunes runs of one installation.
type Pruner struct {
	archive.Installation
}

func (p Pruner) runs() *bus.KV { return p.Bus.KV(runstate.Bucket) }

// Look says what would go with a run, or why it must stay.
func (p Pruner) Look(ctx context.Context, run string) (Plan, error) {
	plan := Plan{Run: run, Messages: map[string]int64{}, Kept: []string{}, Promoted: -1, pruned: runstate.Pruned{Run: run}}
	if !config.IsToken(run) {
		return plan, fmt.Errorf("run %q: %w", run, bus.ErrNotFound)
	}
	known, err := p.records(ctx, &plan)
	if err != nil {
		return plan, fmt.Errorf("prune run %s: %w", run, err)
	}
	claims := map[string]bool{}
	for _, stream := range streams {
		if err := p.messages(ctx, &plan, stream, claims); err != nil {
			return plan, fmt.Errorf("prune run %s: %w", run, err)
		}
	}
	if err := p.blobs(ctx, &plan, claims); err != nil {
		return plan, fmt.Errorf("prune run %s: %w", run, err)
	}
	if !known && plan.Total() == 0 && plan.Blobs == 0 {
		return plan, fmt.Errorf("run %s: %w", run, bus.ErrNotFound)
	}
	return plan, nil
}

// records reads the run's; known is false if it has none.
func (p Pruner) records(ctx context.Context, plan *Plan) (known bool, err error) {
	plan.state, plan.current, err = p.runs().Get(ctx, runstate.Key(plan.Run))
	if err == nil {
		state, err := runstate.Unmarshal(plan.state)
		if err != nil {
			return true, err
		}
		if !state.Finished {
			return true, ErrUnfinished
		}
	} else if !errors.Is(err, bus.ErrNotFound) {
		return false, err
	}
	spec, _, err := p.runs().Get(ctx, runstate.SpecKey(plan.Run))
	if err == nil {
		plan.pruned.Spec = runstate.SpecHash(spec)
	} else if !errors.Is(err, bus.ErrNotFound) {
		return false, err
	}
	value, _, err := p.Bus.KV(models).Get(ctx, promotedKey(plan.Run))
	var promoted struct{ Generation int }
	if err == nil && json.Unmarshal(value, &promoted) == nil {
		plan.Promoted = promoted.Generation
	} else if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return false, err
	}
	return plan.state != nil || plan.pruned.Spec != "", nil
}

// messages counts a stream's, and notes the blobs that they claim and what the bridge has made.
func (p Pruner) messages(ctx context.Context, plan *Plan, stream string, claims map[string]bool) error {
	read := p.Bus.Read
	if stream == bus.Tasks {
		read = func(ctx context.Context, stream string, filters ...string) messageSeq {
			return p.Bus.Browse(ctx, stream, filters[0]) // a consumer would take them
		}
	}
	for m, err := range read(ctx, stream, bus.RunFilter(stream, plan.Run)) {
		if err != nil {
			return err
		}
		plan.Messages[stream]++
		plan.Bytes += m.Size()
		ev, err := bus.Decode(m.Get(bus.HeaderContentType), m.Data)
		if err != nil {
			continue // bytes that nobody can read point at nothing
		}
		for _, uri := range claimed(ev) {
			if key, err := p.Blobs.Key(uri); err == nil && bus.IsClaimKey(key) && ev.GetRun() == plan.Run {
				claims[key] = true
			}
		}
		plan.noteMade(ev)
	}
	return nil
}

// blobs lists those that go.
func (p Pruner) blobs(ctx context.Context, plan *Plan, claims map[string]bool) error {
	texts, err := p.others(ctx, plan.Run)
	if err != nil {
		return err
	}
	plan.pruned.Checkpoints = slices.DeleteFunc(plan.pruned.Checkpoints, func(id string) bool { return texts.mention(id) })
	for _, folder := range archive.Folders(plan.Run) {
		for object, err := range p.Blobs.List(ctx, folder) {
			if err != nil {
				return err
			}
			if id := checkpointOf(object.Key); id != "" && texts.mention(id) {
				if !slices.Contains(plan.Kept, id) {
					plan.Kept = append(plan.Kept, id)
				}
				continue
			}
			plan.add(object.Key, object.Size)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(claims)) {
		object, err := p.Blobs.Stat(ctx, key)
		if isGone(err) {
			continue
		}
		if err != nil {
			return err
		}
		plan.add(key, object.Size)
	}
	return nil
}

func (p *Plan) add(key string, size int64) {
	p.keys = append(p.keys, key)
	p.Blobs++
	p.BlobBytes += size
}

// checkpointOf is the id in checkpoints/<run>/<generation>/<target>/<id>/...
func checkpointOf(key string) string {
	names := strings.Split(key, "/")
	if names[0] != "checkpoints" || len(names) < 6 {
		return ""
	}
	return names[4]
}

// texts are what other runs say of models.
type texts []string

func (t texts) mention(id string) bool {
	return slices.ContainsFunc(t, func(text string) bool { return strings.Contains(text, id) })
}

// others are the specs and promotions of other runs.
func (p Pruner) others(ctx context.Context, run string) (texts, error) {
	var all texts
	for bucket, wanted := range map[string]func(key string) bool{
		runstate.Bucket: func(key string) bool { return strings.HasSuffix(key, ".spec") && key != runstate.SpecKey(run) },
		models:          func(key string) bool { return key != promotedKey(run) },
	} {
		kv := p.Bus.KV(bucket)
		keys, err := kv.Revisions(ctx)
		if err != nil {
			return nil, err
		}
		for key := range keys {
			if !wanted(key) {
				continue
			}
			history, err := kv.History(ctx, key) // an earlier promotion can be taken back
			if err != nil && !errors.Is(err, bus.ErrNotFound) {
				return nil, err
			}
			for _, value := range history {
				all = append(all, string(value.Value))
			}
		}
	}
	return all, nil
}

// Prune does what the plan says. by is for the record.
func (p Pruner) Prune(ctx context.Context, plan Plan, by string) error {
	for _, effect := range p.effects(plan, by) {
		if err := effect(ctx); err != nil {
			return fmt.Errorf("prune run %s: %w; prune it again to go on", plan.Run, err)
		}
	}
	return nil
}

// effects are the writes of a prune in their order; after any of them it can be done again from the first. By its record,
// the last to go, the run is found again.
func (p Pruner) effects(plan Plan, by string) []func(context.Context) error {
	all := []func(context.Context) error{
		func(ctx context.Context) error { return p.mark(ctx, plan) },
		func(ctx context.Context) error { return p.remember(ctx, plan, by) },
	}
	for _, key := range plan.keys {
		all = append(all, func(ctx context.Context) error { return p.Blobs.Delete(ctx, key) })
	}
	for _, stream := range streams {
		all = append(all, func(ctx context.Context) error { return p.Bus.Purge(ctx, stream, bus.RunFilter(stream, plan.Run)) })
	}
	all = append(all, func(ctx context.Context) error { return p.Bus.KV(models).Erase(ctx, promotedKey(plan.Run)) })
	for _, key := range []string{runstate.ControlKey(plan.Run), runstate.SpecKey(plan.Run), runstate.Key(plan.Run)} {
		all = append(all, func(ctx context.Context) error { return p.runs().Erase(ctx, key) })
	}
	return all
}

// mark says in the record that the run is no longer whole.
func (p Pruner) mark(ctx context.Context, plan Plan) error {
	if plan.state == nil {
		return nil
	}
	state, err := runstate.Unmarshal(plan.state)
	if err != nil || state.Pruning {
		return err
	}
	state.Pruning, state.Reason = true, "half pruned; prune it again"
	value, err := runstate.Marshal(state)
	if err != nil {
		return err
	}
	_, err = p.runs().Update(ctx, runstate.Key(plan.Run), value, plan.current)
	return err
}

// remember writes what was there. One that was killed and is done again adds to what it had written.
func (p Pruner) remember(ctx context.Context, plan Plan, by string) error {
	key, now := runstate.PrunedKey(plan.Run), plan.pruned
	now.At, now.By, now.Messages, now.Blobs = time.Now().UTC(), by, plan.Total(), plan.Blobs
	text, revision, err := p.runs().Get(ctx, key)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return err
	}
	var before runstate.Pruned
	if err == nil && json.Unmarshal(text, &before) == nil && (now.Spec == "" || now.Spec == before.Spec) {
		now.Spec, now.Messages, now.Blobs = before.Spec, max(now.Messages, before.Messages), max(now.Blobs, before.Blobs)
		now.Jobs, now.Mixtures, now.Checkpoints = union(now.Jobs, before.Jobs), union(now.Mixtures, before.Mixtures), union(now.Checkpoints, before.Checkpoints)
	}
	value, err := runstate.Marshal(now)
	if err != nil {
		return err
	}
	if revision == 0 {
		_, err = p.runs().Create(ctx, key, value)
	} else {
		_, err = p.runs().Update(ctx, key, value, revision)
	}
	return err
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
