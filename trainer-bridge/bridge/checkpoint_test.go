package bridge

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/fault"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// trained is a trainer's folder with these files.
func trained(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestCheckpointIsItsContent(t *testing.T) {
	t.Parallel()
	read := func(files map[string]string) *checkpoint {
		c, err := readCheckpoint(trained(t, files))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one := read(map[string]string{"model": "weights", "sub/config.json": "{}"})
	same := read(map[string]string{"sub/config.json": "{}", "model": "weights", ".cache/lock": "x", ".hidden": "x"})
	other := read(map[string]string{"model": "weights2", "sub/config.json": "{}"})
	if one.id() != same.id() {
		t.Errorf("the same files have ids %s and %s", one.id(), same.id())
	}
	if one.id() == other.id() {
		t.Error("different files have the same id")
	}
	if one.bytes() != int64(len("weights")+len("{}")) {
		t.Errorf("%d bytes, want the files' sum", one.bytes())
	}
}

func TestReadCheckpointRefuses(t *testing.T) {
	t.Parallel()
	if _, err := readCheckpoint(t.TempDir()); !errors.Is(err, errEmpty) {
		t.Errorf("an empty folder: error %v, want errEmpty", err)
	}
	folder := trained(t, map[string]string{"model": "weights"})
	if err := os.Symlink("/etc/hostname", filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := readCheckpoint(folder); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a symbolic link: error %v, want a refusal", err)
	}
}

// TestCheckpointRoundTrip uploads through a store that fails at every write in turn, refused or done but the reply
// lost, and fetches the checkpoint on another machine.
func TestCheckpointRoundTrip(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Pair {
		store := &fault.Store{Store: openBlobs(t)}
		c, err := readCheckpoint(trained(t, map[string]string{"model": "weights", "sub/config.json": "{}"}))
		if err != nil {
			t.Fatal(err)
		}
		var uri string
		writes := eachWriteFails(t, store, k, func() (err error) {
			uri, err = c.upload(t.Context(), store, "checkpoints/run/1/own")
			return err
		})
		if writes != 3 {
			t.Errorf("upload made %d writes, want 3: two files and checkpoint.json", writes)
		}
		fetchAndCompare(t, store, &pb.Checkpoint{Id: c.id(), Sha256: c.sha256, Uri: uri})
	}
}

func fetchAndCompare(t *testing.T, store blob.Store, c *pb.Checkpoint) {
	t.Helper()
	s := shelf{blobs: store, directory: t.TempDir()}
	for range 2 { // the second time it is there
		folder, err := s.fetch(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := readCheckpoint(folder)
		if err != nil {
			t.Fatal(err)
		}
		if again.id() != c.GetId() {
			t.Errorf("fetched checkpoint %s, want %s", again.id(), c.GetId())
		}
	}
	if left, err := os.ReadDir(filepath.Join(s.directory, "checkpoints")); err != nil || len(left) != 1 {
		t.Errorf("the shelf holds %v (%v), want the one checkpoint", left, err)
	}
}

func TestFetchRefusesDamage(t *testing.T) {
	t.Parallel()
	store := openBlobs(t)
	put := func(key, content string) {
		if _, err := store.PutIfAbsent(t.Context(), key, strings.NewReader(content), int64(len(content))); err != nil {
			t.Fatal(err)
		}
	}
	c, err := readCheckpoint(trained(t, map[string]string{"model": "weights"}))
	if err != nil {
		t.Fatal(err)
	}
	put("c/files/model", "other weights")
	put("c/checkpoint.json", string(c.manifest))
	s := shelf{blobs: store, directory: t.TempDir()}
	_, err = s.fetch(t.Context(), &pb.Checkpoint{Id: c.id(), Sha256: c.sha256, Uri: store.URI("c/checkpoint.json")})
	if err == nil || !strings.Contains(err.Error(), "damaged or overwritten") {
		t.Errorf("error %v, want one about the damaged file", err)
	}
	if _, err := os.Stat(s.folder(c.id())); err == nil {
		t.Error("the damaged checkpoint was shelved")
	}
}
