// Package app is the shell that every role runs in: it reads the configuration, opens the log, the bus, the
// blob store and the model client, serves health and metrics, and turns signals into an orderly stop.
//
// A pod calls Main with a role's Run; `ratchet up` calls Open once for each role and the very same Run. Env is
// the bag of what they share; it stops at each role's run.go.
//
// Stopping: the first SIGTERM or SIGINT ends the context, the role drains what is in flight (bounded by its
// drain setting), then the infrastructure closes in the reverse order of its opening. A second signal kills.
package app
