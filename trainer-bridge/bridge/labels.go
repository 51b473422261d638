package bridge

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"

	"github.com/ratchet-rl/ratchet/internal/blob"
)

// maxLabelLine is the longest line of a label file, in bytes.
const maxLabelLine = 1 << 20

// label is the right answers to one question of the pool. It is not dataset.Gold, and nothing but star holds it:
// the gold answers of an evaluation set cannot get here by mistake.
type label struct {
	Token   string   `json:"token"`
	Answers []string `json:"answers"`
}

// readLabels reads a label file, JSON lines of label, by question token. Its memory grows with the pool.
func readLabels(ctx context.Context, blobs blob.Store, uri string) (map[string]label, error) {
	key, err := blobs.Key(uri)
	if err != nil {
		return nil, err
	}
	body, err := blobs.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	labels := map[string]label{}
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLabelLine)
	for number := 1; lines.Scan(); number++ {
		var l label
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s:%d: expected {\"token\", \"answers\"}: %w", key, number, err)
		}
		labels[l.Token] = l
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return labels, nil
}
