// Package plan conducts runs.
//
// # Promise
//
// A run moves through its phases in order and never leaves one before its ledger adds up: every expected item
// is completed, failed with a class, or a dead letter with a reason. Killing the coordinator anywhere, or
// running two, changes nothing of the outcome.
//
// # State
//
// What was done is in the streams; a [projection] counts it, from headers where they suffice, and is rebuilt
// from the first message at every start. What was decided is one record per run, `<run>.state` in the bucket
// `runs`, replaced by compare-and-swap only: phase, generation, look, and the cursor of the shards published.
// A coordinator that lost its lease but lives on fails its next swap and stops conducting.
//
// # Effects, and a crash at each
//
//   - Tasks are published first, the cursor is saved after: a crash between repeats tasks. Their subjects are
//     unique while outstanding, and workers skip what already has its result.
//   - A phase is entered (RUNS, same Msg-Id every time), then worked, then left by a swap of the record.
//   - Results of build, train, deploy and evaluate are read from their streams by subject, so it does not
//     matter who was alive when they were published.
//
// # Pausing
//
// A pause (asked for, a spent budget, or a phase's task that became a dead letter) withdraws the waiting tasks
// and stops publishing; work in flight finishes. Resuming publishes the phase's tasks again from its start,
// which costs one look-up for each that is done.
package plan
