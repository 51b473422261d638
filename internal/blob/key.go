package blob

import (
	"fmt"
	"strings"
)

// S3 allows keys of 1024 bytes, prefix included, and every file system names of 255.
const (
	maxKey  = 900
	maxName = 240
)

// checkKey tells why key cannot name an object: see Store.
func checkKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("blob key of %d bytes: at most %d are allowed", len(key), maxKey)
	}
	for name := range strings.SplitSeq(key, "/") {
		if err := checkName(name); err != nil {
			return fmt.Errorf("blob key %q: %w", key, err)
		}
	}
	return nil
}

// checkPrefix is checkKey for what List takes: the beginning of a key, or nothing.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return checkKey(strings.TrimSuffix(prefix, "/"))
}

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("an empty name between slashes")
	case name[0] == '.':
		return fmt.Errorf("the name %q begins with a dot", name)
	case len(name) > maxName:
		return fmt.Errorf("a name of %d bytes: at most %d are allowed", len(name), maxName)
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return fmt.Errorf("the byte %q: only letters, digits and . _ = - are allowed", name[i])
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._=-", c) >= 0
}
