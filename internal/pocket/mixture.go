package pocket

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/ratchet-rl/ratchet/internal/pocket/nn"
	"github.com/ratchet-rl/ratchet/internal/pocket/token"
)

// mixture is what a trainer needs of a mixture's manifest; its parts lie beside it under their keys' last elements.
type mixture struct {
	Version  int    `json:"version"`
	Examples int    `json:"examples"`
	Parts    []part `json:"parts"`

	sha256 string
}

type part struct {
	Key      string `json:"key"`
	SHA256   string `json:"sha256"`
	Examples int    `json:"examples"`
}

// maxLine bounds one example, in bytes.
const maxLine = 4 << 20

// readMixture reads and verifies a mixture, in the order of its manifest.
func readMixture(manifest string, v *token.Vocabulary, context int) (mixture, []nn.Example, error) {
	var m mixture
	text, err := os.ReadFile(manifest)
	if err != nil {
		return m, nil, fmt.Errorf("read manifest: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, nil, fmt.Errorf("read manifest %s: %w", manifest, err)
	}
	sum := sha256.Sum256(text)
	m.sha256 = hex.EncodeToString(sum[:])
	var examples []nn.Example
	for _, p := range m.Parts {
		name := filepath.Join(filepath.Dir(manifest), path.Base(p.Key))
		got, err := readPart(name, p, v, context)
		if err != nil {
			return m, nil, err
		}
		examples = append(examples, got...)
	}
	switch {
	case len(examples) == 0:
		return m, nil, fmt.Errorf("manifest %s: the mixture has no examples, so there is nothing to learn: look at its `dropped`", manifest)
	case len(examples) != m.Examples:
		return m, nil, fmt.Errorf("manifest %s says %d examples, its parts hold %d", manifest, m.Examples, len(examples))
	}
	return m, examples, nil
}

func readPart(name string, p part, v *token.Vocabulary, context int) ([]nn.Example, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read part: %w", err)
	}
	if sum := sha256.Sum256(data); p.SHA256 != "" && hex.EncodeToString(sum[:]) != p.SHA256 {
		return nil, fmt.Errorf("part %s is not what the manifest says (sha256 differs): download it again", name)
	}
	var examples []nn.Example
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		ex, err := readExample(lines.Bytes(), v, context)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		examples = append(examples, ex)
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(examples) != p.Examples {
		return nil, fmt.Errorf("part %s holds %d examples, the manifest says %d", name, len(examples), p.Examples)
	}
	return examples, nil
}

func readExample(line []byte, v *token.Vocabulary, context int) (nn.Example, error) {
	var l struct{ Prompt, Completion string }
	if err := json.Unmarshal(line, &l); err != nil {
		return nn.Example{}, fmt.Errorf("read example: %w", err)
	}
	ex := nn.Example{Prompt: v.Encode(l.Prompt), Completion: v.Encode(l.Completion)}
	switch n := len(ex.Prompt) + len(ex.Completion); {
	case len(ex.Prompt) == 0 || len(ex.Completion) == 0:
		return ex, errors.New("prompt and completion must both be there")
	case n > context:
		return ex, fmt.Errorf("example of %d tokens, pocket's context holds %d", n, context)
	}
	return ex, nil
}
