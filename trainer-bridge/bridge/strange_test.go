package bridge

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// strangeIDs come off the bus and would be folders.
var strangeIDs = []string{
	"", ".", "..", "../..", "../../outside", "/etc", "a/b", `..\..`, "0123456789abcdef/..", "0123456789ABCDEF", "c0ffee\x00", strings.Repeat("a", 300),
}

// An event's id is no path: a mixture or checkpoint that does not bear its content's hash is refused, and nothing is
// read or written beside the bridge's folder.
func TestStrangeIDs(t *testing.T) {
	t.Parallel()
	outer, blobs := t.TempDir(), openBlobs(t)
	directory := filepath.Join(outer, "work")
	manifest := []byte(`{"parts":[]}`)
	ref, err := blob.PutContent(t.Context(), blobs, "mixtures", "json", manifest)
	if err != nil {
		t.Fatal(err)
	}
	files := []byte(`{"version":1,"files":[]}`)
	checkpoint, err := blob.PutContent(t.Context(), blobs, "checkpoints", "json", files)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range strangeIDs {
		mixture := &pb.Mixture{Id: id, ManifestUri: ref.URI, ManifestSha256: ref.SHA256}
		if path, err := fetchMixture(t.Context(), blobs, directory, mixture); err == nil {
			t.Errorf("mixture %q is at %s, want it refused", id, path)
		}
		for _, sha := range []string{checkpoint.SHA256, id, ""} {
			c := &pb.Checkpoint{Id: id, Uri: checkpoint.URI, Sha256: sha}
			if path, err := (shelf{blobs: blobs, directory: directory}).fetch(t.Context(), c); err == nil {
				t.Errorf("checkpoint %q is at %s, want it refused", id, path)
			}
		}
	}
	if left, err := os.ReadDir(outer); err != nil || len(left) > 0 {
		t.Errorf("%d entries beside the bridge's folder, %v", len(left), err)
	}
	if _, err := fetchMixture(t.Context(), blobs, directory, &pb.Mixture{Id: ref.SHA256[:idLength], ManifestUri: ref.URI, ManifestSha256: ref.SHA256}); err != nil {
		t.Errorf("an honest mixture: %v", err)
	}
}

// A manifest's parts lie beside it, under names that only a bridge gives.
func TestStrangeParts(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"a/manifest.json", "a/..", "a/.", "x/../../y", "a/part-0.jsonl", "a/lock", "a/part-00000-0123456789abcdef.jsonl.sh"} {
		blobs, directory := openBlobs(t), t.TempDir()
		manifest, err := json.Marshal(Manifest{Parts: []Part{{Key: key}}})
		if err != nil {
			t.Fatal(err)
		}
		ref, err := blob.PutContent(t.Context(), blobs, "mixtures", "json", manifest)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fetchMixture(t.Context(), blobs, directory, &pb.Mixture{Id: ref.SHA256[:idLength], ManifestUri: ref.URI, ManifestSha256: ref.SHA256})
		if err == nil || !strings.Contains(err.Error(), "names a part") {
			t.Errorf("part %q: %v, want it refused", key, err)
		}
	}
}

// Whatever a target is called, its jobs have a folder below jobs, and its command's arguments stay arguments.
func FuzzJobFolder(f *testing.F) {
	f.Add("own", "base", "abc")
	f.Add("../..", "$(id)", "{out}")
	f.Add("a\x00b", "; rm", "")
	f.Fuzz(func(t *testing.T, target, base, sha string) {
		target = config.Token(target) // what a spec's validation lets through
		j, err := newJob(&pb.Mixture{ManifestSha256: sha}, config.Target{Name: target, Base: base, Command: []string{"train", "{base}", "{out}"}}, 1, 1, "m")
		if err != nil {
			t.Skip() // no JSON of it
		}
		folder := filepath.Join("/data/jobs", j.name)
		if filepath.Dir(folder) != "/data/jobs" || !filepath.IsLocal(j.name) {
			t.Fatalf("the job of target %q has the folder %s", target, folder)
		}
		if argv := j.argv("o"); len(argv) != 3 || !bytes.Equal([]byte(argv[1]), []byte(base)) || argv[2] != "o" {
			t.Fatalf("argv %q", argv)
		}
	})
}
