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

	"github.com/ratchet-rl/ratchet/internal/blob"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// maxManifest bounds manifest.json and checkpoint.json, in bytes.
const maxManifest = 64 << 20

// fetchMixture brings a mixture to this machine, into directory/mixtures/<id>, and returns its manifest's path.
// What lies there already is used: a mixture never changes.
func fetchMixture(ctx context.Context, blobs blob.Store, directory string, m *pb.Mixture) (string, error) {
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
		if err := fetchFile(ctx, blobs, part.Key, part.SHA256, filepath.Join(folder, path.Base(part.Key))); err != nil {
			return "", err
		}
	}
	return file, nil
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
