package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"github.com/ratchet-rl/ratchet/internal/blob"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// maxManifest bounds manifest.json and checkpoint.json, in bytes.
const maxManifest = 64 << 20

// fetchMixture brings a mixture to this machine, into directory/mixtures/<id>, and returns its manifest's path.
// What lies there already is used: a mixture never changes.
func fetchMixture(ctx context.Context, blobs blob.Store, directory string, m *pb.Mixture) (string, error) {
	if err := checkID(m.GetId(), m.GetManifestSha256()); err != nil {
		return "", fmt.Errorf("mixture: %w", err)
	}
	folder := filepath.Join(directory, "mixtures", m.GetId())
	key, err := blobs.Key(m.GetManifestUri())
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "manifest.json")
	if err := fetchFile(ctx, blobs, key, m.GetManifestSha256(), file); err != nil {
		return "", err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var manifest Manifest
	if err := json.Unmarshal(data, &manifest); err != nil {
		return "", fmt.Errorf("decode %s: %w", file, err)
	}
	for _, part := range manifest.Parts {
		name := path.Base(part.Key)
		if !partName.MatchString(name) {
			return "", fmt.Errorf("%s names a part %q; want part-00000-<sha256>.jsonl", file, part.Key)
		}
		if err := fetchFile(ctx, blobs, part.Key, part.SHA256, filepath.Join(folder, name)); err != nil {
			return "", err
		}
	}
	return file, nil
}

// partName is a part beside its manifest; see mixtureWriter.
var partName = regexp.MustCompile(`^part-[0-9]{5,}-[0-9a-f]{8,64}\.jsonl$`)

// idLength is how much of a hash names what it is of: a mixture, a checkpoint.
const idLength = 16

// checkID tells whether an id is the beginning of its content's hash. It names a folder here, and it comes off the bus.
func checkID(id, sha string) error {
	if raw, err := hex.DecodeString(sha); err != nil || len(raw) != sha256.Size || len(id) != idLength || id != sha[:idLength] {
		err := fmt.Errorf("the id %q is not the beginning of the SHA-256 %q: the event is not of a bridge's making", id, sha)
		return worker.Permanent(worker.WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, err))
	}
	return nil
}

// fetchFile copies an object to file, unless the file is there. The file appears whole and verified or not at all.
func fetchFile(ctx context.Context, blobs blob.Store, key, sha, file string) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	body, err := blobs.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", key, err)
	}
	defer body.Close()
	return writeVerified(file, body, key, sha)
}

func writeVerified(file string, body io.Reader, key, sha string) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), ".fetch-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	defer temporary.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(temporary, sum), body); err != nil {
		return fmt.Errorf("fetch %s: %w", key, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != sha {
		return fmt.Errorf("fetch %s: its SHA-256 is %s, expected %s: it was damaged or overwritten", key, got, sha)
	}
	if err := temporary.Chmod(0o644); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}
