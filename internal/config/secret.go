package config

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// maxSecret is far more than any key; a larger file is the wrong one.
const maxSecret = 64 << 10

// Secret reads a secret's file and trims it. Neither the error nor anything else of ours ever holds its content.
func Secret(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := strings.TrimSpace(string(data))
	switch {
	case secret == "":
		return "", fmt.Errorf("read secret: %s is empty", path)
	case len(secret) > maxSecret:
		return "", fmt.Errorf("read secret: %s holds %d bytes, which is no key", path, len(secret))
	case strings.ContainsAny(secret, "\r\n\x00"):
		return "", errors.New("read secret: " + path + " has more than one line; want the key alone")
	}
	return secret, nil
}

// Concealed replaces a secret in what its addressee said: servers quote the key that they do not like, and errors go
// into logs, dead letters and results. A secret of a few characters stays: it would be found in any text.
func Concealed(text []byte, secret string) []byte {
	if len(secret) < leastSecret || !bytes.Contains(text, []byte(secret)) {
		return text
	}
	return bytes.ReplaceAll(text, []byte(secret), []byte("[key]"))
}

// leastSecret is shorter than any key.
const leastSecret = 8

// noPassword refuses a URL that holds a user or password: settings are printed, and a run's spec is read by everybody.
// The problem does not repeat it.
func (v *check) noPassword(path, text, fix string) {
	for part := range strings.SplitSeq(text, ",") {
		if u, err := url.Parse(strings.TrimSpace(part)); err == nil && u.User != nil {
			v.add(path, "a user or password stands in the URL", fix)
			return
		}
	}
}
