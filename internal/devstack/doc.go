// Package devstack embeds the servers that an installation brings itself: a nats-server with JetStream on disk,
// every write synced. `ratchet up` and the tests use it; no role does.
package devstack
