package bus_test

import (
	"os"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
)

// TestUsersAfterADeath: whoever dies while it writes a key leaves none, or a whole one; the next one goes on, and no key
// that was there changes.
func TestUsersAfterADeath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func() {
		t.Helper()
		if _, err := bus.WriteUsers(dir, config.Default()); err != nil {
			t.Fatal(err)
		}
	}
	write()
	kept, err := os.ReadFile(bus.SeedFile(dir, bus.RoleRank))
	if err != nil {
		t.Fatal(err)
	}
	died := bus.SeedFile(dir, bus.RoleRollout)
	if err := os.Rename(died, died+".next"); err != nil { // as it is left right before the key is put in its place
		t.Fatal(err)
	}
	if err := os.Truncate(died+".next", 7); err != nil { // or in the middle of writing it
		t.Fatal(err)
	}
	write()
	info, err := os.Stat(died)
	if err != nil || info.Size() < 50 || info.Mode().Perm() != 0o600 {
		t.Errorf("the key that was missing: %v, %v", info, err)
	}
	if now, err := os.ReadFile(bus.SeedFile(dir, bus.RoleRank)); err != nil || string(now) != string(kept) {
		t.Errorf("a key that was there has changed: %v", err)
	}
}
