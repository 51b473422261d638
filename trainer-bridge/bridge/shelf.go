package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/ratchet-rl/ratchet/internal/blob"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// shelf is where checkpoints lie on this machine for model servers to read: directory/checkpoints/<id>. A folder
// there is complete; it is made elsewhere and renamed. directory is absolute.
type shelf struct {
	blobs     blob.Store
	directory string
}

func (s shelf) folder(id string) string { return filepath.Join(s.directory, "checkpoints", id) }

// put shelves the files of a trainer's folder, by hard links where the file system has them.
func (s shelf) put(c *checkpoint) error {
	return s.fill(c.id(), func(folder string) error {
		for _, file := range c.files.Files {
			name := filepath.FromSlash(file.Name)
			if err := link(filepath.Join(c.folder, name), filepath.Join(folder, name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// fetch shelves a checkpoint out of the blob store, unless it is on the shelf, and returns its folder.
func (s shelf) fetch(ctx context.Context, c *pb.Checkpoint) (string, error) {
	if err := checkID(c.GetId(), c.GetSha256()); err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	key, err := s.blobs.Key(c.GetUri())
	if err != nil {
		return "", err
	}
	err = s.fill(c.GetId(), func(folder string) error {
		manifest, err := blob.Verified(ctx, s.blobs, key, c.GetSha256())
		if err != nil {
			return err
		}
		var files CheckpointFiles
		if err := json.Unmarshal(manifest, &files); err != nil {
			return fmt.Errorf("decode %s: %w", key, err)
		}
		for _, file := range files.Files {
			if !filepath.IsLocal(file.Name) {
				return fmt.Errorf("%s names the file %q outside of it", key, file.Name)
			}
			from := path.Join(path.Dir(key), "files", file.Name)
			if err := fetchFile(ctx, s.blobs, from, file.SHA256, filepath.Join(folder, filepath.FromSlash(file.Name))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("fetch checkpoint %s: %w", c.GetId(), err)
	}
	return s.folder(c.GetId()), nil
}

// fill makes a checkpoint's folder, unless it is there.
func (s shelf) fill(id string, write func(folder string) error) error {
	final := s.folder(id)
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(final), ".new-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	if err := write(temporary); err != nil {
		return err
	}
	if err := os.Chmod(temporary, 0o755); err != nil { // a model server runs as somebody else
		return err
	}
	if err := os.Rename(temporary, final); err != nil && !errors.Is(err, fs.ErrExist) {
		return err // ErrExist: somebody else has shelved it in the meantime
	}
	return nil
}

// link makes to the same file as from, by a copy where a link cannot be.
func link(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	defer target.Close()
	if _, err := io.Copy(target, source); err != nil {
		return err
	}
	return target.Close()
}
