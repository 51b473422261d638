// Package ratchetv1 is the wire: one Event on every subject. event.proto says what each field means, and
// docs/protocol.md tells it for a reader of another language.
//
// The schema only grows: schema_test.go holds it against the last released descriptor set.
package ratchetv1
