package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"

	"golang.org/x/sync/errgroup"

	"github.com/ratchet-rl/ratchet/internal/blob"
)

// partSize is the size in bytes after which a part is closed; a part is larger by at most one question's examples.
const partSize = 32 << 20

// manifestVersion is the version of Manifest's form.
const manifestVersion = 1

// Manifest describes a mixture. It is written last and only once; a reader trusts nothing that it does not name.
// It holds no time and no host: the same trajectories and feedback give the same bytes.
type Manifest struct {
	Version    int    `json:"version"`
	Run        string `json:"run"`
	Generation int    `json:"generation"`
	Strategy   string `json:"strategy"`
	// Ranker whose first choices are the targets; empty when the defaults are.
	Ranker string `json:"ranker"`
	// Policy that grew this generation's trajectories.
	Policy string `json:"policy"`
	// Rendering of the prompts: bare or few_shot, as the trained policy will be asked.
	Rendering string `json:"rendering"`
	Parts     []Part `json:"parts"`
	Examples  int64  `json:"examples"`
	// Trajectories that gave examples.
	Trajectories   int64            `json:"trajectories"`
	ExamplesByKind map[string]int64 `json:"examples_by_kind"`
	// Changed counts examples whose target is not the default.
	Changed int64 `json:"changed"`
	// Unranked counts examples for which the ranker left nothing to use: the default is the target.
	Unranked int64 `json:"unranked"`
	// Dropped counts examples left out, by reason.
	Dropped map[string]int64 `json:"dropped"`
	// Templates are the step templates, name@version, that the candidates were sampled with, by kind.
	Templates map[string][]string `json:"templates"`
	// Reason says why Examples is 0.
	Reason string `json:"reason,omitempty"`
}

// Part is one file of a mixture: JSON lines of interchange.Example.
type Part struct {
	// Key in the blob store. Downloaded, a part lies beside the manifest under the key's last name.
	Key      string `json:"key"`
	Size     int64  `json:"size"` // bytes
	SHA256   string `json:"sha256"`
	Examples int64  `json:"examples"`
	// Improve is the improve step, from 1, that the part belongs to; only `rest` has more than one.
	Improve int `json:"improve"`
}

// mixtureKey is the folder of a generation's mixture.
func mixtureKey(run string, generation int) string {
	return fmt.Sprintf("mixtures/%s/%d", run, generation)
}

// encode is the manifest's bytes: indented, because people read it too; maps are sorted by encoding/json.
func (m *Manifest) encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(data, '\n'), nil
}

// partWriter collects lines and stores them as parts. One part is uploaded while the next one fills, so it holds
// two parts at most.
type partWriter struct {
	blobs   blob.Store
	folder  string
	limit   int
	improve int

	buffer   []byte
	free     chan []byte // the other buffer, while it is not being uploaded
	examples int64
	parts    []Part
	uploads  *errgroup.Group
	ctx      context.Context //nolint:containedctx // of the uploads; a partWriter lives for one call
}

func newPartWriter(ctx context.Context, blobs blob.Store, folder string, limit int) *partWriter {
	uploads, ctx := errgroup.WithContext(ctx)
	w := &partWriter{blobs: blobs, folder: folder, limit: limit, free: make(chan []byte, 1), uploads: uploads, ctx: ctx}
	w.buffer = make([]byte, 0, limit+limit/8) // the question that fills it lies in it too
	w.free <- nil                             // made if there is a second part
	return w
}

// write adds whole lines, and closes the part once it is full.
func (w *partWriter) write(lines []byte, examples int64) error {
	w.buffer = append(w.buffer, lines...)
	w.examples += examples
	if len(w.buffer) < w.limit {
		return nil
	}
	return w.flush()
}

// begin starts the parts of an improve step.
func (w *partWriter) begin(improve int) error {
	err := w.flush()
	w.improve = improve
	return err
}

// flush closes the part and uploads it in the background; it waits for the upload before.
func (w *partWriter) flush() error {
	if len(w.buffer) == 0 {
		return nil
	}
	data := w.buffer
	sum := sha256.Sum256(data)
	sha := hex.EncodeToString(sum[:])
	name := fmt.Sprintf("part-%05d-%s.jsonl", len(w.parts), sha[:16])
	part := Part{
		Key: path.Join(w.folder, name), Size: int64(len(data)), SHA256: sha,
		Examples: w.examples, Improve: w.improve,
	}
	w.parts = append(w.parts, part)
	w.buffer, w.examples = (<-w.free)[:0], 0
	if w.buffer == nil {
		w.buffer = make([]byte, 0, cap(data))
	}
	w.uploads.Go(func() error {
		defer func() { w.free <- data }()
		// A part's name holds its hash: one that is there already holds these bytes.
		if _, err := w.blobs.PutIfAbsent(w.ctx, part.Key, bytes.NewReader(data), part.Size); err != nil {
			return fmt.Errorf("store part %s: %w", part.Key, err)
		}
		return nil
	})
	return context.Cause(w.ctx)
}

// close stores what is left and returns all parts once every one of them is durable.
func (w *partWriter) close() ([]Part, error) {
	flushed := w.flush()
	if err := w.uploads.Wait(); err != nil {
		return nil, err
	}
	return w.parts, flushed
}

// bytes is the size of all parts.
func (m *Manifest) bytes() int64 {
	var sum int64
	for _, part := range m.Parts {
		sum += part.Size
	}
	return sum
}
