package app_test

import (
	"context"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/app"
)

// A role that is asked to stop while it waits for the bus has nothing to complain of.
func TestStopBeforeTheBusIsThere(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	err := app.Run(ctx, "role", []string{"--set", "bus.url=nats://127.0.0.1:1", "--set", "blob.url=file://" + t.TempDir()},
		func(context.Context, *app.Env) error { t.Error("the role runs without a bus"); return nil })
	if err != nil {
		t.Errorf("%v, want nil", err)
	}
}
