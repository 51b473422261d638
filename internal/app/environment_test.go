package app_test

import (
	"os"
	"strings"
	"testing"
)

// TestMain forgets the settings of whoever runs the tests: RATCHET_CONFIG and the like.
func TestMain(m *testing.M) {
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "RATCHET_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}
