package retention

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// LeastGrace is the shortest grace that is safe: an object may say that it is older than its last writer by blob.Fresh.
const LeastGrace = 2 * blob.Fresh

// Collected is what was, or would be, collected.
type Collected struct {
	Blobs int64    `json:"blobs"`
	Bytes int64    `json:"bytes"`
	Keys  []string `json:"keys"`
	// Waiting are imports that are not finished: large events are left alone until they are.
	Waiting []string `json:"waiting"`
}

// folders are where blobs of ours lie.
var folders = []string{"events/", "questions/", "gold/", "corpora/", "mixtures/", "checkpoints/"}

// collector finds the blobs that nobody points at.
type collector struct {
	Pruner
	// old are the blobs that are older than the grace and that nothing is known to point at yet.
	old map[string]blob.Object
	// unfinished are runs whose folders are left alone.
	unfinished map[string]bool
	waiting    []string
}

// Collect deletes blobs older than grace that nobody points at; a dry one only says which.
func (p Pruner) Collect(ctx context.Context, grace time.Duration, dry bool) (Collected, error) {
	c := &collector{Pruner: p, old: map[string]blob.Object{}, unfinished: map[string]bool{}}
	now, err := c.now(ctx)
	if err != nil {
		return Collected{}, fmt.Errorf("collect blobs: ask the store for the time: %w", err)
	}
	before := now.Add(-grace)
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return c.list(ctx, before) }, c.specs, c.claims, c.indexes,
	} {
		if err := step(ctx); err != nil {
			return Collected{}, fmt.Errorf("collect blobs: %w", err)
		}
	}
	out := Collected{Keys: []string{}, Waiting: c.waiting}
	for _, key := range slices.Sorted(maps.Keys(c.old)) {
		gone, err := c.delete(ctx, key, before, dry)
		if err != nil {
			return out, fmt.Errorf("collect blobs: %w", err)
		}
		if gone {
			out.Blobs++
			out.Bytes += c.old[key].Size
			out.Keys = append(out.Keys, key)
		}
	}
	return out, nil
}

// now by the store's clock, which dates the blobs: were this machine's ahead, it would take young ones for old.
func (p Pruner) now(ctx context.Context) (time.Time, error) {
	key := "events/now-" + rand.Text() // left behind by a crash it is collected as any other
	if _, err := p.Blobs.PutIfAbsent(ctx, key, strings.NewReader("now"), 3); err != nil {
		return time.Time{}, err
	}
	object, err := p.Blobs.Stat(ctx, key)
	return object.Modified, errors.Join(err, p.Blobs.Delete(ctx, key))
}

// list notes the old blobs. It comes first: what is pointed at later was put later, or is young again.
func (c *collector) list(ctx context.Context, before time.Time) error {
	for _, folder := range folders {
		for object, err := range c.Blobs.List(ctx, folder) {
			if err != nil {
				return err
			}
			if object.Modified.Before(before) {
				c.old[object.Key] = object
			}
		}
	}
	return nil
}

// specs takes off what runs were submitted with, and notes which runs are not finished.
func (c *collector) specs(ctx context.Context) error {
	keys, err := c.runs().Revisions(ctx)
	if err != nil {
		return err
	}
	for key := range keys {
		run, ok := strings.CutSuffix(key, ".spec")
		if !ok {
			continue
		}
		if err := c.spec(ctx, run, key); err != nil {
			return fmt.Errorf("run %s: %w", run, err)
		}
	}
	return nil
}

func (c *collector) spec(ctx context.Context, run, key string) error {
	text, _, err := c.runs().Get(ctx, key)
	if errors.Is(err, bus.ErrNotFound) {
		return nil // pruned meanwhile
	}
	if err != nil {
		return err
	}
	var spec config.Run
	if err := json.Unmarshal(text, &spec); err != nil {
		return fmt.Errorf("decode its spec: %w", err)
	}
	for _, uri := range archive.SpecURIs(spec) {
		key, err := c.Blobs.Key(uri)
		if err != nil {
			return err // its blobs may be here under another name
		}
		delete(c.old, key)
	}
	value, _, err := c.runs().Get(ctx, runstate.Key(run))
	switch {
	case errors.Is(err, bus.ErrNotFound): // it is being imported or submitted
		c.waiting = append(c.waiting, run)
		c.unfinished[run] = true
		return nil
	case err != nil:
		return err
	}
	state, err := runstate.Unmarshal(value)
	c.unfinished[run] = err != nil || !state.Finished
	return nil
}

// claims takes off what messages point at. It reads all of them, unless there is no old event to collect.
func (c *collector) claims(ctx context.Context) error {
	events := func(key string, _ blob.Object) bool { return bus.IsClaimKey(key) }
	if len(c.waiting) > 0 {
		maps.DeleteFunc(c.old, events)
	}
	left := 0
	for key := range c.old {
		if bus.IsClaimKey(key) {
			left++
		}
	}
	for _, stream := range streams {
		if left == 0 {
			return nil
		}
		read := c.Bus.Read(ctx, stream)
		if stream == bus.Tasks {
			read = c.Bus.Browse(ctx, stream, ">")
		}
		for m, err := range read {
			if err != nil {
				return err
			}
			ev, err := bus.Decode(m.Get(bus.HeaderContentType), m.Data)
			if err != nil {
				continue
			}
			for _, uri := range claimed(ev) {
				key, err := c.Blobs.Key(uri)
				if err != nil {
					return fmt.Errorf("message %d of %s: %w", m.Seq, stream, err)
				}
				delete(c.old, key)
			}
		}
	}
	return nil
}

// indexes takes off manifests and what they name, and whatever lies in the folder of a run that is not finished.
func (c *collector) indexes(ctx context.Context) error {
	read := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(c.old)) {
		names := strings.Split(key, "/")
		index := indexOf(names)
		if index == "" {
			continue
		}
		if c.unfinished[names[1]] {
			delete(c.old, key)
			continue
		}
		if read[index] {
			continue
		}
		read[index] = true
		if err := c.index(ctx, names[1], index); err != nil {
			return err
		}
	}
	return nil
}

// indexOf is what would name a blob in mixtures/<run>/<generation>/ or checkpoints/<run>/<generation>/<target>/<id>/;
// empty for one that lies elsewhere.
func indexOf(names []string) string {
	switch {
	case names[0] == "mixtures" && len(names) >= 4:
		return path.Join(path.Join(names[:3]...), "manifest.json")
	case names[0] == "checkpoints" && len(names) >= 6:
		return path.Join(path.Join(names[:5]...), "checkpoint.json")
	}
	return ""
}

func (c *collector) index(ctx context.Context, run, index string) error {
	refs := archive.References{}
	err := refs.AddIndex(ctx, c.Blobs, run, index)
	switch {
	case isGone(err):
		return nil
	case errors.Is(err, archive.ErrDamaged): // who knows what it names: the folder stays
		maps.DeleteFunc(c.old, func(key string, _ blob.Object) bool { return strings.HasPrefix(key, path.Dir(index)+"/") })
		return nil
	case err != nil:
		return err
	}
	for key := range refs {
		delete(c.old, key)
	}
	return nil
}

// delete deletes a blob that is still old.
func (c *collector) delete(ctx context.Context, key string, before time.Time, dry bool) (bool, error) {
	object, err := c.Blobs.Stat(ctx, key)
	if isGone(err) || err == nil && !object.Modified.Before(before) {
		return false, nil
	}
	if err != nil || dry {
		return dry, err
	}
	return true, c.Blobs.Delete(ctx, key)
}
