package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// References are blobs that a run points at: key to SHA-256 of the content.
type References map[string]string

// hashed is a key that is made of its content's hash, in a folder that runs share.
var hashed = regexp.MustCompile(`^(?:events|questions|gold|corpora)/([0-9a-f]{64})\.(?:pb|jsonl|jsonl\.gz)$`)

// IsShared says whether a key lies where runs share blobs, by content.
func IsShared(key string) bool { return hashed.MatchString(key) }

// Folders are where a run's own blobs lie.
func Folders(run string) []string {
	return []string{"mixtures/" + run + "/", "checkpoints/" + run + "/"}
}

// add notes that a run points at a blob. Only a run's own folders and shared content are its to point at.
func (r References) add(run, key, sha string) error {
	if m := hashed.FindStringSubmatch(key); m != nil {
		if sha != "" && sha != m[1] {
			return fmt.Errorf("blob %s: its name and what points at it disagree on the hash", key)
		}
		sha = m[1]
	} else if !slices.ContainsFunc(Folders(run), func(folder string) bool { return strings.HasPrefix(key, folder) }) || path.Clean(key) != key {
		return fmt.Errorf("run %s points at blob %q; want one of %v, or one named by its content", run, key, Folders(run))
	}
	if known := r[key]; known != "" && sha != "" && known != sha {
		return fmt.Errorf("blob %s: two that point at it disagree on the hash", key)
	}
	if r[key] == "" {
		r[key] = sha
	}
	return nil
}

// at is add for a URI; an empty one points nowhere.
func (r References) at(run, uri, sha string, keyOf func(string) (string, error)) error {
	if uri == "" {
		return nil
	}
	key, err := keyOf(uri)
	if err != nil {
		return err
	}
	return r.add(run, key, sha)
}

// SpecURIs are what a run was submitted with.
func SpecURIs(spec config.Run) []string {
	sources := []config.Source{spec.Questions, spec.Evaluation.Set}
	for _, optional := range []*config.Source{spec.Evaluation.Locked, spec.Strategy.Labels} {
		if optional != nil {
			sources = append(sources, *optional)
		}
	}
	all := []string{spec.Search.URI}
	for _, s := range sources {
		all = append(all, s.URI, s.GoldURI)
	}
	return slices.DeleteFunc(all, func(uri string) bool { return uri == "" })
}

// AddSpec notes what a run was submitted with.
func (r References) AddSpec(spec config.Run, keyOf func(uri string) (string, error)) error {
	for _, uri := range SpecURIs(spec) {
		if err := r.at(spec.Name, uri, "", keyOf); err != nil {
			return fmt.Errorf("spec of run %s: %w", spec.Name, err)
		}
	}
	return nil
}

// AddEvent notes what an event points at, with what a dead letter holds.
func (r References) AddEvent(run string, ev *pb.Event, keyOf func(uri string) (string, error)) error {
	point := func(uri, sha string) error { return r.at(run, uri, sha, keyOf) }
	if c := ev.GetClaim(); c != nil {
		if err := point(c.GetUri(), c.GetSha256()); err != nil {
			return err
		}
	}
	for _, m := range []*pb.Mixture{ev.GetMixture(), ev.GetTask().GetTrain().GetMixture()} {
		if err := point(m.GetManifestUri(), m.GetManifestSha256()); err != nil {
			return err
		}
	}
	for _, c := range []*pb.Checkpoint{ev.GetCheckpoint(), ev.GetTask().GetDeploy().GetCheckpoint()} {
		if err := point(c.GetUri(), c.GetSha256()); err != nil {
			return err
		}
	}
	if inner := lettered(ev); inner != nil {
		return r.AddEvent(run, inner, keyOf)
	}
	return nil
}

// isIndex tells a blob that names others.
func isIndex(key string) bool {
	return strings.HasPrefix(key, "mixtures/") && path.Base(key) == "manifest.json" ||
		strings.HasPrefix(key, "checkpoints/") && path.Base(key) == "checkpoint.json"
}

// AddIndex notes a manifest.json or checkpoint.json and what it names.
func (r References) AddIndex(ctx context.Context, store blob.Store, run, key string) error {
	data, err := blob.ReadAll(ctx, store, key, maxIndex)
	if err != nil {
		return err
	}
	if err := r.add(run, key, ""); err != nil {
		return err
	}
	if err := r.addIndex(run, key, data); err != nil {
		return damaged("%w", err)
	}
	return nil
}

// addIndex notes what a mixture's manifest.json or a checkpoint's checkpoint.json names. Both come before what they name
// in the order of keys, and in the same folder.
func (r References) addIndex(run, key string, data []byte) error {
	var index struct {
		Parts []struct{ Key, SHA256 string }  // of a mixture
		Files []struct{ Name, SHA256 string } // of a checkpoint
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return fmt.Errorf("decode %s: %w", key, err)
	}
	folder := path.Dir(key)
	for _, part := range index.Parts {
		if path.Dir(part.Key) != folder || part.Key <= key {
			return fmt.Errorf("%s names the part %q, which does not lie beside it", key, part.Key)
		}
		if err := r.add(run, part.Key, part.SHA256); err != nil {
			return err
		}
	}
	for _, file := range index.Files {
		if !filepath.IsLocal(file.Name) {
			return fmt.Errorf("%s names the file %q outside of it", key, file.Name)
		}
		if err := r.add(run, path.Join(folder, "files", file.Name), file.SHA256); err != nil {
			return err
		}
	}
	return nil
}

// lettered is the event within a dead letter, nil if there is none.
func lettered(ev *pb.Event) *pb.Event {
	if ev.GetDeadLetter() == nil {
		return nil
	}
	inner, err := bus.Decode("", ev.GetDeadLetter().GetPayload())
	if err != nil {
		return nil
	}
	return inner
}
