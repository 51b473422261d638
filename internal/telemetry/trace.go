package telemetry

import (
	"crypto/rand"
	"encoding/hex"
)

// Traceparent starts a W3C trace (https://www.w3.org/TR/trace-context/): version 00, sampled.
func Traceparent() string {
	var id [24]byte
	_, _ = rand.Read(id[:]) // crypto/rand.Read never fails (Go 1.24)
	return "00-" + hex.EncodeToString(id[:16]) + "-" + hex.EncodeToString(id[16:]) + "-01"
}
