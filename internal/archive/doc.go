// Package archive packs a run into one file and unpacks it: its messages of every stream, its records in the buckets,
// and the blobs that any of them points at.
//
// # Promise
//
// What is unpacked is the run: its report, ledger, trajectories and lineage are the same, and an unfinished run goes on
// where it was. The same run gives the same bytes, before and after. Packing and unpacking hold some ten megabytes and
// about a hundred bytes for each blob.
//
// # The file
//
// A tar, compressed with zstd, whose entries stand in this order:
//
//	ratchet.json               version of the form, name of the run
//	spec.json                  the run as it was submitted
//	streams/TASKS/000000.jsonl a message on each line: subject, headers, data (base64); then the other streams
//	blobs/KEY                  in the order of their keys
//	promoted/000000.json       every policy that was promoted, oldest first
//	control.json, state.json   the operator's last wish; the record
//	manifest.json              counts, and the SHA-256 of everything before
//
// A URI of the blob store is written as blob:///KEY, so that the archive says nothing of where it came from; unpacking
// makes it a URI of the store that it is unpacked into. Sequence numbers are the streams' own: what refers to one
// (the last dead letter that a resume has forgiven) is written as a count. Times of the messages are those in them; the
// time of storage is not kept.
//
// # A run that goes on
//
// The record is read first, then the tasks, then every stream after those that are made from it, the blobs last: the
// effect of what was read before is in what is read after, as if the run had been killed. Pause it first all the same:
// else both runs go on.
//
// # An archive is a stranger's
//
// Unpacking reads the whole file before it writes anything: names and their order, sizes, every subject and header,
// the run that each event says it is of, the hash of every blob that something points at, and that there is no other.
// Nothing is extracted to a path of the archive's choosing. What is unpacked is bounded (Limits), and counted before
// it is kept. A spec holds commands that the bridge runs: whoever imports an unfinished run starts them.
//
// # Failure
//
// The spec comes first, then the blobs, the messages (results before what they are made from, so that no ranker or judge
// does again what is there), the tasks, and the state at the very end: until then there is no run. An import that was
// cut is done again: what is there must be the beginning of what the archive holds, and the rest is added. Anything
// else is ErrOther, and nothing of it is touched.
package archive
