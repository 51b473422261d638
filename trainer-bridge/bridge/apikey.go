package bridge

import (
	"cmp"
	"fmt"
	"net/url"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// apiKeys finds the API key of an endpoint where the model client does: in the file for its host[:port], else in the
// file for all. The file is read each time, so that a rotated key is seen.
func apiKeys(c config.LLM) func(endpoint string) (string, error) {
	return func(endpoint string) (string, error) {
		u, err := url.Parse(endpoint)
		if err != nil {
			return "", fmt.Errorf("parse endpoint: %w", err)
		}
		file := cmp.Or(c.KeyFiles[u.Host], c.KeyFile)
		if file == "" {
			return "", nil
		}
		key, err := config.Secret(file)
		if err != nil {
			return "", fmt.Errorf("API key of %s: %w", u.Host, err)
		}
		return key, nil
	}
}
