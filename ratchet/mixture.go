package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/interchange"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

// maxManifest bounds a mixture's manifest, in bytes.
const maxManifest = 64 << 20

// mixture hands on the examples of a run's mixture, part by part as the trainer reads them.
func (c *conversion) mixture(ctx context.Context, s *session, e *interchange.Encoder) error {
	m, err := c.findMixture(ctx, s)
	if err != nil {
		return err
	}
	blobs, err := s.store()
	if err != nil {
		return err
	}
	key, err := blobs.Key(m.GetManifestUri())
	if err != nil {
		return err
	}
	text, err := blob.ReadAll(ctx, blobs, key, maxManifest)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != m.GetManifestSha256() {
		return fmt.Errorf("the manifest %s is not the one that the run tells of: its SHA-256 is %x, expected %s", key, sum, m.GetManifestSha256())
	}
	var manifest struct {
		Parts []struct {
			Key    string `json:"key"`
			SHA256 string `json:"sha256"`
		} `json:"parts"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return fmt.Errorf("decode manifest %s: %w", key, err)
	}
	for _, part := range manifest.Parts {
		if err := convertPart(ctx, blobs, part.Key, part.SHA256, e); err != nil {
			return err
		}
	}
	return nil
}

// findMixture is the mixture of the generation that was asked for, or the last.
func (c *conversion) findMixture(ctx context.Context, s *session) (*pb.Mixture, error) {
	results, err := history.ReadResults(ctx, s.bus, c.Source)
	if err != nil {
		return nil, err
	}
	var last *pb.Mixture
	for _, g := range results.Generations {
		if g.Mixture != nil && (c.Generation < 0 || g.Number == c.Generation) {
			last = g.Mixture
		}
	}
	switch {
	case last == nil && c.Generation < 0:
		return nil, notFound("`ratchet status "+c.Source+"` says how far it is", "run %s has no mixture yet", c.Source)
	case last == nil:
		return nil, notFound("`ratchet report "+c.Source+"` lists them", "run %s has no mixture of generation %d", c.Source, c.Generation)
	case last.GetExamples() == 0:
		return nil, notFound("", "the mixture is empty: %s", last.GetReason())
	}
	return last, nil
}

// convertPart hands on the examples of a part. What is damaged is an error at its end at the latest.
func convertPart(ctx context.Context, blobs blob.Store, key, sha string, e *interchange.Encoder) error {
	body, err := blobs.Get(ctx, key)
	if err != nil {
		return err
	}
	defer body.Close()
	sum := sha256.New()
	for x, err := range interchange.ReadExamples(interchange.PromptCompletion, key, io.TeeReader(body, sum)) {
		if err == nil {
			err = e.Example(x)
		}
		if err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != sha {
		return fmt.Errorf("part %s: its SHA-256 is %s, expected %s: it was damaged or overwritten", key, got, sha)
	}
	return nil
}
