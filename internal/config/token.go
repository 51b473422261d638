package config

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxToken is the length a token may have without being cut, and tokenStem what is kept of a longer one.
const (
	maxToken  = 40
	tokenStem = 28
)

// Token makes a subject token, [a-z0-9-]{1,40}, of any name or dataset id. A text that is one already comes back
// unchanged; any other becomes a readable stem and a short hash of the whole text, so that different texts keep
// different tokens. It is the only such rule: the bus's subjects and a question's identity both use it.
func Token(s string) string {
	if IsToken(s) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	hash := hex.EncodeToString(sum[:5])
	if stem := tokenReadable(s); stem != "" {
		return stem + "-" + hash
	}
	return hash
}

// IsToken tells whether Token would leave s as it is.
func IsToken(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return true
}

// tokenReadable is s in lower case with every run of other characters as one dash, cut to tokenStem bytes.
func tokenReadable(s string) string {
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(s[:min(len(s), 4*tokenStem)])) {
		switch {
		case b.Len() == tokenStem:
			return strings.Trim(b.String(), "-")
		case c != '-' && isTokenByte(c):
			b.WriteByte(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-'
}
