package pocket

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
)

// A checkpoint is a directory with two files: the parameters as little-endian float32, and what they are.
const (
	parametersFile = "pocket.bin"
	cardFile       = "pocket.json"
)

// card says what a checkpoint is. It holds nothing that differs between two trainings of the same recipe.
type card struct {
	Format     int       `json:"format"`
	What       string    `json:"what"`
	Shape      nn.Shape  `json:"shape"`
	Vocabulary string    `json:"vocabulary"` // hash
	Base       string    `json:"base"`       // name, as in own@7
	BaseRecipe string    `json:"base_recipe"`
	Mixture    string    `json:"mixture,omitempty"` // sha256 of the manifest
	Examples   int       `json:"examples"`
	Training   nn.Recipe `json:"training"`
	Loss       float64   `json:"loss"`   // mean over the last steps, in nats per token
	SHA256     string    `json:"sha256"` // of pocket.bin
}

const checkpointFormat = 1

// writeCheckpoint writes m and its card into dir, each file whole or not at all, the card last.
func writeCheckpoint(dir string, m *nn.Model, c card) error {
	var parameters bytes.Buffer
	if err := binary.Write(&parameters, binary.LittleEndian, m.Flat); err != nil {
		return fmt.Errorf("encode parameters: %w", err)
	}
	sum := sha256.Sum256(parameters.Bytes())
	c.Format, c.Shape, c.SHA256 = checkpointFormat, m.Shape, hex.EncodeToString(sum[:])
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", cardFile, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the checkpoint's directory: %w", err)
	}
	if err := writeWhole(filepath.Join(dir, parametersFile), parameters.Bytes()); err != nil {
		return err
	}
	return writeWhole(filepath.Join(dir, cardFile), append(text, '\n'))
}

// writeWhole replaces a file by a rename, so that nobody ever reads half of it.
func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}

// readCheckpoint reads a checkpoint and verifies that it is whole and of this vocabulary.
func readCheckpoint(dir, vocabulary string) (*nn.Model, card, error) {
	var c card
	text, err := os.ReadFile(filepath.Join(dir, cardFile))
	if err != nil {
		return nil, c, fmt.Errorf("read checkpoint: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, c, fmt.Errorf("read %s: %w", filepath.Join(dir, cardFile), err)
	}
	if c.Format != checkpointFormat || c.Vocabulary != vocabulary {
		return nil, c, fmt.Errorf("checkpoint %s has format %d and vocabulary %q, this program has %d and %q: train it anew",
			dir, c.Format, c.Vocabulary, checkpointFormat, vocabulary)
	}
	data, err := os.ReadFile(filepath.Join(dir, parametersFile))
	if err != nil {
		return nil, c, fmt.Errorf("read checkpoint: %w", err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != c.SHA256 {
		return nil, c, fmt.Errorf("checkpoint %s: %s is not what %s says (sha256 differs)", dir, parametersFile, cardFile)
	}
	flat := make([]float32, len(data)/4)
	if err := binary.Read(bytes.NewReader(data), binary.LittleEndian, flat); err != nil {
		return nil, c, fmt.Errorf("decode %s: %w", filepath.Join(dir, parametersFile), err)
	}
	m, err := nn.FromFlat(c.Shape, flat)
	if err != nil {
		return nil, c, fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	return m, c, nil
}
