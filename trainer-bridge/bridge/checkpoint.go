package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/blob"
)

// errEmpty is a trainer's folder without a file in it.
var errEmpty = errors.New("the command left no file in {out}")

// CheckpointFiles is checkpoint.json: what a checkpoint consists of. It is written after the files it names, which
// lie beside it under files/. The checkpoint's id is the beginning of the SHA-256 of these bytes, so the same
// files are the same checkpoint, wherever they come from.
type CheckpointFiles struct {
	Version int              `json:"version"`
	Files   []CheckpointFile `json:"files"` // in the order of their names
}

// CheckpointFile is one file of a checkpoint.
type CheckpointFile struct {
	Name   string `json:"name"` // relative, with slashes
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// checkpoint is a model's files on this machine and what they are.
type checkpoint struct {
	folder   string
	files    CheckpointFiles
	manifest []byte
	sha256   string
}

func (c *checkpoint) id() string { return c.sha256[:16] }

func (c *checkpoint) bytes() int64 {
	var sum int64
	for _, file := range c.files.Files {
		sum += file.Size
	}
	return sum
}

// readCheckpoint hashes the files of a folder. Files and folders whose name begins with a dot are no part of it.
func readCheckpoint(folder string) (*checkpoint, error) {
	c := &checkpoint{folder: folder, files: CheckpointFiles{Version: 1}}
	err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return c.add(file, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	if len(c.files.Files) == 0 {
		return nil, errEmpty
	}
	c.manifest, err = json.MarshalIndent(c.files, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode checkpoint.json: %w", err)
	}
	sum := sha256.Sum256(c.manifest)
	c.sha256 = hex.EncodeToString(sum[:])
	return c, nil
}

// add adds one entry of the folder; WalkDir comes in lexical order.
func (c *checkpoint) add(file string, entry fs.DirEntry) error {
	name, err := filepath.Rel(c.folder, file)
	switch {
	case err != nil:
		return err
	case name != "." && strings.HasPrefix(entry.Name(), "."):
		if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	case entry.IsDir():
		return nil
	case !entry.Type().IsRegular():
		return fmt.Errorf("%s is not a regular file; a trainer must leave plain files", file)
	}
	size, sum, err := hashFile(file)
	if err != nil {
		return err
	}
	c.files.Files = append(c.files.Files, CheckpointFile{Name: filepath.ToSlash(name), Size: size, SHA256: sum})
	return nil
}

func hashFile(name string) (int64, string, error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	if err != nil {
		return 0, "", err
	}
	return size, hex.EncodeToString(sum.Sum(nil)), nil
}

// upload stores the files and then checkpoint.json under prefix/<id>, and returns the URI of the latter.
// All keys derive from content, so uploading again after a crash is harmless.
func (c *checkpoint) upload(ctx context.Context, blobs blob.Store, prefix string) (string, error) {
	root := path.Join(prefix, c.id())
	for _, file := range c.files.Files {
		if err := c.uploadFile(ctx, blobs, path.Join(root, "files", file.Name), file); err != nil {
			return "", fmt.Errorf("store checkpoint file %s: %w", file.Name, err)
		}
	}
	key := path.Join(root, "checkpoint.json")
	if _, err := blobs.PutIfAbsent(ctx, key, bytes.NewReader(c.manifest), int64(len(c.manifest))); err != nil {
		return "", fmt.Errorf("store checkpoint.json: %w", err)
	}
	return blobs.URI(key), nil
}

func (c *checkpoint) uploadFile(ctx context.Context, blobs blob.Store, key string, file CheckpointFile) error {
	body, err := os.Open(filepath.Join(c.folder, filepath.FromSlash(file.Name)))
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = blobs.PutIfAbsent(ctx, key, body, file.Size)
	return err
}
