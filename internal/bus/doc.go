// Package bus is the only place of ours that speaks NATS: connection, topology, subjects, publishing, the step
// journal, consumption, reading, KV and leases.
//
// # Promise
//
// Delivery is at least once; results are written once. A result's subject is its identity and takes one message
// for ever: publishing it again says "existing", publishing another content says "conflict", and the first
// stands. The same holds for an event whose id is its subject, on every stream. A journal append names the last
// sequence it saw, so that a worker which lost its lease but lives on cannot write, not even the very same step.
// Acks prove nothing and are never used as a lock.
//
// # Failure handling
//
// Every write is retried with the same message id until its acknowledgement came or the context ended. A lost
// reply is resolved by reading back: a journal append by its writer, all else by content. Every wait has a deadline.
// A missing permission looks like a timeout to NATS clients: the violation that the server reports ends the request, as
// ErrDenied.
//
// # Who may do what
//
// permissions.go, as data, and auth.go, which makes keys and nats-server's configuration of it: docs/permissions.md.
//
// # A message's life
//
// Slot, pull, heartbeats, handler, settlement: consume.go and settle.go, each step in one function. What a handler's
// error says is in errors.go. A worker's own dead letter is written before its message is terminated; what the server
// gives up is swept from its advisories (dead.go). A message's last deliveries are handled with nothing beside it. What
// is not what its subject says is rejected, by one check for all readers (reject.go). A fenced worker settles nothing:
// acks are not fenced, and its ack would take the message from whoever holds it.
//
// How each known trap of JetStream is met: docs/decisions/0005-bus-traps.md.
package bus
